//! Serving a router until told to stop, letting open requests finish.

use axum::Router;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::limits::DRAIN_S;

/// The sending half of a shutdown signal. Dropping it stops as well.
#[derive(Debug, Clone)]
pub struct ShutdownTrigger(watch::Sender<bool>);

impl ShutdownTrigger {
    /// Tells every receiver to stop. Calling it again changes nothing.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

/// A shutdown signal: the receiver turns `true` once, for good; every service takes a clone.
#[must_use]
pub fn shutdown_channel() -> (ShutdownTrigger, watch::Receiver<bool>) {
    let (tx, rx) = watch::channel(false);
    (ShutdownTrigger(tx), rx)
}

/// Waits until the signal is given or its trigger is gone.
pub async fn stopped(signal: &mut watch::Receiver<bool>) {
    // An error means that the trigger is gone: nobody can stop us later, so stop now.
    let _gone = signal.wait_for(|stop| *stop).await;
}

/// Sleeps, but not past the signal; answers whether to go on.
pub async fn sleep_unless_stopped(signal: &mut watch::Receiver<bool>, pause: Duration) -> bool {
    tokio::select! {
        () = stopped(signal) => false,
        () = tokio::time::sleep(pause) => true,
    }
}

/// Waits for SIGINT or SIGTERM.
///
/// # Errors
/// When the process cannot listen for signals.
pub async fn until_signal() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut term = signal(SignalKind::terminate())?;
        tokio::select! {
            got = tokio::signal::ctrl_c() => got,
            _ = term.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    {
        tokio::signal::ctrl_c().await
    }
}

/// Serves `router` until the signal, then lets open requests finish for at most 10 s.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    signal: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let mut drain = signal.clone();
    let mut begin = signal;
    let serving = async move {
        // Handlers may ask for the peer's address: geography is looked up from it, and nothing else.
        axum::serve(
            listener,
            router.into_make_service_with_connect_info::<SocketAddr>(),
        )
        .with_graceful_shutdown(async move { stopped(&mut begin).await })
        .await
    };
    let deadline = async move {
        stopped(&mut drain).await;
        tokio::time::sleep(Duration::from_secs(DRAIN_S)).await;
    };
    tokio::select! {
        done = serving => done,
        () = deadline => {
            tracing::warn!(drain_s = DRAIN_S, "requests were still open at the end; closing them");
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn an_open_request_finishes_after_the_signal() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let slow = || async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            "done"
        };
        let (trigger, signal) = shutdown_channel();
        let server = tokio::spawn(serve(listener, Router::new().route("/", get(slow)), signal));
        let mut c = tokio::net::TcpStream::connect(addr).await.unwrap();
        c.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        trigger.stop();
        let mut answer = String::new();
        c.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("done"), "{answer}");
        server.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_lost_trigger_stops() {
        let (trigger, mut signal) = shutdown_channel();
        drop(trigger);
        assert!(!sleep_unless_stopped(&mut signal, Duration::from_secs(60)).await);
    }
}
