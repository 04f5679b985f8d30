//! The host as a program: settings in, one JSON line out when it listens, until SIGTERM.

use clap::Parser;
use mediaflow_edge_host::server::Host;
use mediaflow_edge_host::settings::Settings;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let settings = Settings::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn,mediaflow_edge_host=info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let host = Host::new(&settings).await?;
    let addr = host.address()?;
    println!(r#"{{"event":"listening","addr":"{addr}"}}"#);
    host.serve(async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping: open requests may finish");
    })
    .await;
    Ok(())
}
