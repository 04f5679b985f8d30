//! A network that can be cut: one port of loopback, passed on to another.

use anyhow::Result;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Read at once.
const BLOCK_BYTES: usize = 64 * 1024;
/// A connection of loopback takes less; a listener that is gone refuses at once.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// What becomes of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    Passes,
    /// Connections are reset, new ones too.
    Cut,
    /// Bytes wait on their way, and arrive late.
    Stalls,
    /// Requests arrive, answers do not.
    LosesAnswers,
}

/// Ends with this value, and all connections with it.
pub struct Proxy {
    pub port: u16,
    to: Arc<AtomicU16>,
    network: watch::Sender<Network>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Listens on a free port; [`Proxy::lead`] says where it leads.
    pub async fn bind() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (network, at) = watch::channel(Network::Passes);
        let to = Arc::<AtomicU16>::default();
        Ok(Self {
            port: listener.local_addr()?.port(),
            accepting: tokio::spawn(accept(listener, to.clone(), at)),
            to,
            network,
        })
    }

    /// Leads to this port of loopback from now on.
    pub fn lead(&self, port: u16) {
        self.to.store(port, Ordering::Relaxed);
    }

    pub fn becomes(&self, network: Network) {
        self.network.send_replace(network);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        // Connections still open look at it.
        self.network.send_replace(Network::Cut);
    }
}

async fn accept(listener: TcpListener, to: Arc<AtomicU16>, network: watch::Receiver<Network>) {
    while let Ok((near, _)) = listener.accept().await {
        let (to, network) = (to.load(Ordering::Relaxed), network.clone());
        tokio::spawn(async move {
            // An end of any kind ends the other side too.
            let _ = join(near, to, network).await;
        });
    }
}

async fn join(
    near: TcpStream,
    to: u16,
    mut network: watch::Receiver<Network>,
) -> std::io::Result<()> {
    // Dropped from here on, either side is reset rather than closed.
    near.set_zero_linger()?;
    if *network.borrow_and_update() == Network::Cut {
        return Ok(());
    }
    let far = TcpStream::connect(("127.0.0.1", to));
    let far = tokio::time::timeout(CONNECT_TIMEOUT, far).await??;
    far.set_zero_linger()?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let (near_in, near_out) = near.into_split();
    let (far_in, far_out) = far.into_split();
    tokio::select! {
        done = pump(near_in, far_out, network.clone(), false) => done,
        done = pump(far_in, near_out, network, true) => done,
    }
}

/// Carries bytes one way until either side or the network ends it.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut network: watch::Receiver<Network>,
    answers: bool,
) -> std::io::Result<()> {
    let mut block = vec![0; BLOCK_BYTES];
    let mut lost = false;
    loop {
        let read = tokio::select! {
            read = from.read(&mut block) => read?,
            changed = network.changed() => {
                let now = *network.borrow_and_update();
                // After a lost answer the rest of the stream would mean nothing.
                if changed.is_err() || now == Network::Cut || (lost && now != Network::LosesAnswers) {
                    return Ok(());
                }
                continue;
            }
        };
        if read == 0 {
            return Ok(());
        }
        let now = network.wait_for(|n| *n != Network::Stalls).await;
        match now.map_or(Network::Cut, |n| *n) {
            Network::Cut => return Ok(()),
            Network::LosesAnswers if answers => lost = true,
            _ if lost => return Ok(()),
            _ => to.write_all(&block[..read]).await?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn echo() -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let port = listener.local_addr().expect("bound").port();
        tokio::spawn(async move {
            while let Ok((mut s, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = s.split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        port
    }

    async fn asked(s: &mut TcpStream, n: u8) -> Option<u8> {
        s.write_all(&[n]).await.ok()?;
        let answer = tokio::time::timeout(Duration::from_millis(200), s.read_u8()).await;
        answer.ok()?.ok()
    }

    #[tokio::test]
    async fn it_passes_stalls_loses_answers_and_cuts() {
        let proxy = Proxy::bind().await.expect("loopback");
        proxy.lead(echo().await);
        let connect = || TcpStream::connect(("127.0.0.1", proxy.port));
        let mut s = connect().await.expect("it listens");
        assert_eq!(asked(&mut s, 1).await, Some(1));
        proxy.becomes(Network::Stalls);
        assert_eq!(asked(&mut s, 2).await, None);
        proxy.becomes(Network::Passes);
        assert_eq!(s.read_u8().await.ok(), Some(2), "late, but there");
        proxy.becomes(Network::LosesAnswers);
        assert_eq!(asked(&mut s, 3).await, None);
        proxy.becomes(Network::Passes);
        assert_eq!(asked(&mut s, 4).await, None, "that connection is over");
        let mut s = connect().await.expect("it listens");
        assert_eq!(asked(&mut s, 5).await, Some(5));
        proxy.becomes(Network::Cut);
        assert_eq!(asked(&mut s, 6).await, None);
        let mut s = connect().await.expect("it listens");
        assert_eq!(asked(&mut s, 7).await, None);
        proxy.becomes(Network::Passes);
        let mut s = connect().await.expect("it listens");
        assert_eq!(asked(&mut s, 8).await, Some(8));
    }
}
