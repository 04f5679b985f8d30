//! One origin with embedded stores, and what can be seen of it from outside.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::bench::process;
use crate::bench::programs::program;
use crate::up::http::send;
use crate::up::program::Program;
use crate::up::secrets::{self, ADMIN_TOKEN};
use crate::workspace::Workspace;

/// Metrics that a role keeps as plain numbers are taken over this often, and a little.
const METRICS_EVERY: Duration = Duration::from_millis(2_500);

/// A running origin. Dropped, it is stopped; its folder stays.
pub struct Origin {
    pub program: Program,
    /// Of the collector and the operators' routes.
    pub address: SocketAddr,
    pub folder: PathBuf,
    /// Of an editor who may do everything.
    pub token: String,
}

impl Origin {
    /// Starts one on an empty folder; `roles` of `None` are all.
    pub fn start(
        workspace: &Workspace,
        name: &str,
        roles: Option<&str>,
        head: &[&str],
    ) -> Result<Self> {
        let folder = workspace.output("bench-events").join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder)
                .with_context(|| format!("cannot empty {}", folder.display()))?;
        }
        fs::create_dir_all(&folder)?;
        let variables = secrets::load_or_create(&folder.join("dev.env"))?;
        let file = folder.join("mediaflow.toml");
        let mut text = head.join("\n");
        text.push_str(
            "\nlisten = \"127.0.0.1:0\"\nedge_listen = \"127.0.0.1:0\"\nkv_listen = \"127.0.0.1:0\"\n",
        );
        for (port, default) in [
            ("event_log", "embedded:db"),
            ("state_store", "embedded:db"),
            ("blob_store", "embedded:db"),
        ] {
            if !head.iter().any(|line| line.starts_with(port)) {
                text.push_str(&format!("{port} = \"{default}\"\n"));
            }
        }
        text.push_str(
            "[[brand]]\nslug = \"daily\"\ntitle = \"The Daily\"\nhome_url = \"https://daily.example\"\n\
             languages = [\"en\"]\nsurfaces = [\"home\"]\n",
        );
        fs::write(&file, text)?;
        let mut command = program(workspace, "mediaflow");
        command
            .envs(&variables)
            .env("MEDIAFLOW_SECURE_COOKIES", "false")
            .args(["serve", "--config"])
            .arg(&file);
        if let Some(roles) = roles {
            command.args(["--roles", roles]);
        }
        let mut program = Program::start("the origin", command, folder.join("origin.log"))?;
        let address = program.address("origin")?;
        let token = variables.get(ADMIN_TOKEN).cloned();
        Ok(Self {
            token: token.context("no editor's token among the secrets")?,
            program,
            address,
            folder,
        })
    }

    /// The sum of a metric over its labels; 0 while it is not there yet.
    pub fn metric(&self, name: &str) -> Result<f64> {
        let text = send(self.address, "GET", "/metrics", &[], b"")?
            .expect("the metrics", &[200])?
            .text();
        Ok(sum(&text, name))
    }

    /// A metric once what happened before has reached it.
    pub fn settled(&self, name: &str) -> Result<f64> {
        thread::sleep(METRICS_EVERY);
        self.metric(name)
    }

    pub fn cpu_s(&self) -> Result<f64> {
        process::cpu_s(self.program.id())
    }

    /// Now and at its highest.
    pub fn resident_mb(&self) -> Result<(f64, f64)> {
        process::resident_mb(self.program.id())
    }
}

fn sum(text: &str, name: &str) -> f64 {
    text.lines()
        .filter_map(|line| line.rsplit_once(' '))
        .filter(|(left, _)| left.split('{').next().is_some_and(|n| ends_with(n, name)))
        .filter_map(|(_, value)| value.parse::<f64>().ok())
        .sum()
}

/// Names may have a prefix of the whole product.
fn ends_with(full: &str, name: &str) -> bool {
    full == name || full.strip_suffix(name).is_some_and(|p| p.ends_with('_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_summed_over_its_labels() {
        let text = "# TYPE mediaflow_lag gauge\nmediaflow_lag{p=\"0\"} 2\nmediaflow_lag{p=\"1\"} 3\nother_lags 9\n";
        assert_eq!(sum(text, "lag"), 5.0);
    }
}
