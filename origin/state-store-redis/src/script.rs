//! The Lua scripts: sent by their hash, with their source where a node does not know them (a restart forgets them).

use mediaflow_ports::{PortResult, Slot};
use redis::{Cmd, FromRedisValue, RedisResult, Script, Value};

use crate::fault;
use crate::limits::{RETRY_PAUSE, TRIES_MAX};
use crate::link::{Link, lacks_script, may_pass};

pub(crate) struct Scripts {
    pub commit: Source,
    pub scan: Source,
    pub sweep: Source,
}

pub(crate) struct Source {
    text: &'static str,
    hash: String,
}

impl Default for Scripts {
    fn default() -> Self {
        Self {
            commit: Source::new(include_str!("commit.lua")),
            scan: Source::new(include_str!("scan.lua")),
            sweep: Source::new(include_str!("sweep.lua")),
        }
    }
}

impl Source {
    fn new(text: &'static str) -> Self {
        let hash = Script::new(text).get_hash().to_owned();
        Self { text, hash }
    }

    /// The command that runs the script with these keys and arguments.
    fn command(&self, by_text: bool, keys: &[Vec<u8>], arguments: &[&[u8]]) -> Cmd {
        let bytes = keys
            .iter()
            .map(Vec::len)
            .chain(arguments.iter().map(|a| a.len()))
            .sum();
        let mut command = Cmd::with_capacity(3 + keys.len() + arguments.len(), bytes);
        if by_text {
            command.arg("EVAL").arg(self.text);
        } else {
            command.arg("EVALSHA").arg(&self.hash);
        }
        command.arg(keys.len());
        for key in keys {
            command.arg(&key[..]);
        }
        for argument in arguments {
            command.arg(*argument);
        }
        command
    }

    /// Runs the script on the node of `slot`; again when the connection broke, so the script must be one that may run
    /// twice.
    pub async fn run<T: FromRedisValue>(
        &self,
        link: &Link,
        slot: Slot,
        doing: &str,
        keys: &[Vec<u8>],
        arguments: &[&[u8]],
    ) -> PortResult<T> {
        let known = self.command(false, keys, arguments);
        let mut pause = RETRY_PAUSE;
        let mut tried = 1;
        loop {
            let error = match self.once(link, slot, &known, keys, arguments).await {
                Ok(value) => {
                    return T::from_redis_value(value)
                        .map_err(|_| fault::nonsense(link.place(), doing));
                }
                Err(error) => error,
            };
            if tried == TRIES_MAX || !may_pass(&error) {
                return Err(fault::answer(link.place(), doing, error));
            }
            tracing::debug!(%error, tried, doing, "running the script again");
            tokio::time::sleep(pause).await;
            pause *= 2;
            tried += 1;
        }
    }

    async fn once(
        &self,
        link: &Link,
        slot: Slot,
        known: &Cmd,
        keys: &[Vec<u8>],
        arguments: &[&[u8]],
    ) -> RedisResult<Value> {
        match link.send(slot, known).await {
            Err(error) if lacks_script(&error) => {
                link.send(slot, &self.command(true, keys, arguments)).await
            }
            other => other,
        }
    }
}
