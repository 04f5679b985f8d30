//! The walk of `up --check`: content in, feed, read, changed feed, pin, receipt, replay.

use std::net::SocketAddr;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::Addresses;
use super::http::{Answer, send};

/// The first content goes through intake, enrichment and a front before an edge can serve it.
const FIRST_FEED: Duration = Duration::from_secs(90);
/// What an editor is promised.
const PIN: Duration = Duration::from_secs(2);
/// A receipt follows the edges' next heartbeat.
const RECEIPT: Duration = Duration::from_secs(30);
/// Between two looks at a feed that is to change.
const LOOK: Duration = Duration::from_millis(50);

/// What the walk needs to know of the running product.
pub struct Walk<'a> {
    /// Where everything listens.
    pub addresses: Addresses,
    /// Whose feed.
    pub brand: &'a str,
    /// Which feed.
    pub surface: &'a str,
    /// The bearer token of an editor.
    pub admin_token: &'a str,
    /// `mediaflow replay` with everything but the feed's id.
    pub replay: &'a dyn Fn() -> Command,
}

/// Goes the whole way once. The first thing that is not as promised ends it.
pub fn walk(walk: &Walk<'_>) -> Result<()> {
    let Addresses {
        native,
        workerd,
        spin,
        ..
    } = walk.addresses;

    let mut first = None;
    for (name, edge) in [
        ("workerd", workerd),
        ("component", spin),
        ("native", native),
    ] {
        let feed = step(
            &format!("content in: the {name} edge serves a feed"),
            || eventually(FIRST_FEED, || walk.filled_feed(edge, "")),
        )?;
        first.get_or_insert(feed);
    }
    let first = first.context("no edge was asked")?;
    let read = item_id(&first, 0)?;

    let cookie = step("consent: the edge mints a token", || walk.consent(workerd))?;
    let cookie = step("read: the event is taken", || {
        walk.read(workerd, &cookie, &read)
    })?;
    let changed = step("changed feed: the story that was read is gone", || {
        let feed = walk.filled_feed(workerd, &cookie)?;
        if ids(&feed).contains(&read) {
            bail!("{read} is still in the feed of the reader who read it");
        }
        Ok(feed)
    })?;

    let pinned = item_id(&changed, ids(&changed).len() - 1)?;
    let revision = step("pin: published", || walk.pin(&pinned))?;
    step("pin: first in the feed within 2 s", || {
        eventually(PIN, || {
            let feed = walk.filled_feed(workerd, &cookie)?;
            if item_id(&feed, 0)? != pinned {
                bail!("{pinned} is not first");
            }
            Ok(())
        })
    })?;
    step("receipt: an edge serves the revision", || {
        eventually(RECEIPT, || {
            // Edges report while they have readers.
            walk.feed(workerd, &cookie)?;
            walk.receipt(revision)
        })
    })?;
    step("replay: the same bytes", || {
        // The served record follows the response.
        eventually(RECEIPT, || walk.replay(workerd))
    })
}

/// Runs one named part of the walk and says how it went.
fn step<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let begun = Instant::now();
    let outcome = work();
    let verdict = if outcome.is_ok() { "ok" } else { "FAILED" };
    println!("{name} … {:.1} s  {verdict}", begun.elapsed().as_secs_f64());
    outcome.with_context(|| name.to_owned())
}

/// Tries until it works or the time is over; then the last trouble is the error.
fn eventually<T>(limit: Duration, mut work: impl FnMut() -> Result<T>) -> Result<T> {
    let begun = Instant::now();
    loop {
        match work() {
            Ok(value) => return Ok(value),
            Err(error) if begun.elapsed() > limit => {
                return Err(error.context(format!("not within {} s", limit.as_secs())));
            }
            Err(_) => thread::sleep(LOOK),
        }
    }
}

impl Walk<'_> {
    fn feed(&self, edge: SocketAddr, cookie: &str) -> Result<Answer> {
        let path = format!("/v1/feed/{}/{}", self.brand, self.surface);
        send(edge, "GET", &path, &[("cookie", cookie)], b"")?.expect("the feed", &[200])
    }

    fn filled_feed(&self, edge: SocketAddr, cookie: &str) -> Result<Value> {
        let feed = self.feed(edge, cookie)?.json()?;
        if ids(&feed).is_empty() {
            bail!("the feed has no items");
        }
        Ok(feed)
    }

    fn consent(&self, edge: SocketAddr) -> Result<String> {
        let body = json!({ "action": "consent_on" });
        let answer = send(
            edge,
            "POST",
            &format!("/v1/me?brand={}", self.brand),
            &[("content-type", "application/json")],
            body.to_string().as_bytes(),
        )?
        .expect("consent", &[200, 204, 303])?;
        cookie_of(&answer).context("consent was given, but no cookie was set")
    }

    /// Returns the cookie that holds after the read: the token carries it.
    fn read(&self, edge: SocketAddr, cookie: &str, content_id: &str) -> Result<String> {
        let event = json!({
            "specversion": "1.0",
            "id": "up-check-read",
            "source": format!("/up-check/{}", self.brand),
            "type": "org.mediaflow.read.v1",
            "data": {
                "brand": self.brand,
                "surface": self.surface,
                "content_id": content_id,
                "dwell_s": 60,
            },
        });
        let answer = send(
            edge,
            "POST",
            "/v1/events",
            &[
                ("content-type", "application/cloudevents-batch+json"),
                ("cookie", cookie),
            ],
            json!([event]).to_string().as_bytes(),
        )?
        .expect("the read", &[202])?;
        Ok(cookie_of(&answer).unwrap_or_else(|| cookie.to_owned()))
    }

    fn admin(&self, method: &str, path: &str, body: &Value) -> Result<Answer> {
        let path = format!(
            "/admin/v1/brands/{}/surfaces/{}/{path}",
            self.brand, self.surface
        );
        let body = if body.is_null() {
            Vec::new()
        } else {
            body.to_string().into_bytes()
        };
        send(
            self.addresses.origin,
            method,
            &path,
            &[
                ("authorization", &format!("Bearer {}", self.admin_token)),
                ("content-type", "application/json"),
            ],
            &body,
        )
    }

    /// Pins to the first slot and returns the revision that has it.
    fn pin(&self, content_id: &str) -> Result<u64> {
        let body = json!({ "content_id": content_id, "slot": 0, "ttl_min": 60 });
        let answer = self
            .admin("POST", "pins", &body)?
            .expect("the pin", &[200, 201])?;
        answer.json()?["revision"]
            .as_u64()
            .with_context(|| format!("the pin names no revision: {}", answer.text()))
    }

    fn receipt(&self, revision: u64) -> Result<()> {
        let answer = self
            .admin(
                "GET",
                &format!("rules/receipt?revision={revision}"),
                &Value::Null,
            )?
            .expect("the receipt", &[200])?;
        let receipt = answer.json()?;
        if receipt["reached"].as_u64().unwrap_or(0) == 0 {
            bail!("no edge serves revision {revision} yet: {receipt}");
        }
        Ok(())
    }

    fn replay(&self, edge: SocketAddr) -> Result<()> {
        let feed = self.feed(edge, "")?;
        let id = feed.json()?["_mediaflow"]["feed_id"]
            .as_str()
            .context("the feed names no feed_id")?
            .to_owned();
        let output = (self.replay)()
            .arg(&id)
            .output()
            .context("mediaflow replay")?;
        if !output.status.success() {
            bail!(
                "mediaflow replay {id} failed: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        if output.stdout.trim_ascii() != feed.body.trim_ascii() {
            bail!("mediaflow replay {id} gives other bytes than were served");
        }
        Ok(())
    }
}

fn ids(feed: &Value) -> Vec<String> {
    feed["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|item| item["id"].as_str().map(str::to_owned))
        .collect()
}

fn item_id(feed: &Value, slot: usize) -> Result<String> {
    ids(feed)
        .get(slot)
        .cloned()
        .with_context(|| format!("the feed has no item in slot {slot}"))
}

/// `name=value` of the cookie that an answer sets.
fn cookie_of(answer: &Answer) -> Option<String> {
    let cookie = answer.header("set-cookie")?;
    cookie.split(';').next().map(str::to_owned)
}
