//! What about a server's settings would lose acknowledged state.

use std::collections::BTreeSet;

use mediaflow_ports::Layout;
use redis::cmd;

use crate::link::Link;

/// One remark per setting to reconsider; none where the server does not let us ask.
pub(crate) async fn on(link: &Link, layout: &Layout) -> BTreeSet<&'static str> {
    let mut remarks = BTreeSet::new();
    for slot in layout.slots() {
        let ask = async |name: &str| -> Option<String> {
            let mut question = cmd("CONFIG");
            question.arg("GET").arg(name);
            let answer: Vec<String> = link.call(slot, "read its settings", &question).await.ok()?;
            answer.into_iter().nth(1)
        };
        match ask("appendonly").await.as_deref() {
            Some("no") => {
                remarks.insert(
                    "appendonly is off: a restart of Redis loses state; set appendonly yes",
                );
            }
            Some("yes") if ask("appendfsync").await.as_deref() == Some("no") => {
                remarks.insert("appendfsync is no: a crash of its machine loses seconds of state; set it to always");
            }
            Some("yes") if ask("appendfsync").await.as_deref() == Some("everysec") => {
                remarks.insert("appendfsync is everysec: a crash of its machine loses up to a second; set it to always");
            }
            _ => {}
        }
        let memory_max = ask("maxmemory").await;
        let policy = ask("maxmemory-policy").await;
        if memory_max.is_some_and(|bytes| bytes != "0")
            && policy.is_some_and(|policy| policy != "noeviction")
        {
            remarks.insert("maxmemory-policy evicts: counts would be wrong; set it to noeviction");
        }
        if !link.is_cluster() {
            break;
        }
    }
    remarks
}
