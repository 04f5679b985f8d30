//! The whole product on one machine: a simulated publisher, the origin, the worker in workerd, the
//! component in its host.
//!
//! ```text
//! mediaflow simulate serve ─► mediaflow serve ─┬─► workerd (KV = the origin's kv_listen)
//!                                              └─► mediaflow-edge-host (the same KV)
//! ```
//!
//! With `--stack kafka,redis` a real broker and a real Redis run beside it, and the origin keeps its log and its state there.
//!
//! Everything listens on 127.0.0.1. `up` stays until Ctrl-C; `up --check` takes free ports and an
//! empty store, walks the product once and leaves. Only processes started here are stopped.

mod check;
pub(crate) mod config;
pub(crate) mod http;
pub(crate) mod program;
pub(crate) mod secrets;
pub(crate) mod stack;

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};

use crate::bundle;
use crate::progress::Progress;
use crate::tools;
use crate::workspace::Workspace;
use config::{Configuration, SURFACE};
use program::Program;
use secrets::{ADMIN_TOKEN, Variables};
pub use stack::Part;
use stack::{Parts, Stack};

/// How often `up` looks whether everything still runs.
const WATCH: Duration = Duration::from_millis(500);

/// Where the running product listens.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    /// Collector, webhooks, admin API.
    pub origin: SocketAddr,
    /// The edge inside the origin's binary.
    pub native: SocketAddr,
    /// The worker in workerd.
    pub workerd: SocketAddr,
    /// The component in our host.
    pub spin: SocketAddr,
}

/// What differs between `up` and `up --check`.
#[derive(Debug)]
struct Plan {
    /// The origin's configuration and store.
    data: PathBuf,
    logs: PathBuf,
    /// Fixed ports, so that a bookmark stays good; 0 takes free ones.
    ports: Ports,
    variables: Variables,
    parts: Parts,
}

/// One port for each listener.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ports {
    pub(crate) cms: u16,
    pub(crate) origin: u16,
    pub(crate) native: u16,
    pub(crate) kv: u16,
    pub(crate) workerd: u16,
    pub(crate) spin: u16,
}

/// The defaults of the programs themselves.
const PORTS: Ports = Ports {
    cms: 8090,
    origin: 8080,
    native: 8081,
    kv: 8082,
    workerd: 8787,
    spin: 3000,
};

/// Everything that runs; dropped in reverse, so that the edges stop before the origin.
#[derive(Debug)]
struct Running {
    programs: Vec<Program>,
    addresses: Addresses,
    brand: String,
    /// Fields drop after `drop` has stopped the programs.
    _stack: Stack,
}

impl Drop for Running {
    fn drop(&mut self) {
        while self.programs.pop().is_some() {}
    }
}

/// Builds and starts everything, prints where it is, and stays until Ctrl-C or SIGTERM.
pub fn up(workspace: &Workspace, parts: &Parts) -> Result<()> {
    let suffix = stack::suffix(parts);
    let plan = Plan {
        data: match suffix {
            "" => workspace.at("var"),
            _ => workspace.at(&format!("var/stack{suffix}")),
        },
        logs: workspace.at("var/log"),
        ports: PORTS,
        variables: secrets::load_or_create(&workspace.at("var/dev.env"))?,
        parts: parts.clone(),
    };
    build(workspace, parts)?;
    let mut running = start(workspace, &plan)?;
    print_ways_in(&running, &plan);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        loop {
            tokio::select! {
                interrupted = tokio::signal::ctrl_c() => return interrupted.map_err(Into::into),
                _ = terminate.recv() => return Ok(()),
                () = tokio::time::sleep(WATCH) => {
                    for program in &mut running.programs {
                        program.must_run()?;
                    }
                }
            }
        }
    })
}

/// The same on free ports and an empty store: walks the path of a story, then stops everything.
pub fn check(workspace: &Workspace, parts: &Parts) -> Result<()> {
    let folder = workspace.output(&format!("up-check{}", stack::suffix(parts)));
    if folder.exists() {
        fs::remove_dir_all(&folder)
            .with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    let plan = Plan {
        data: folder.join("data"),
        logs: folder.join("log"),
        ports: Ports::default(),
        variables: secrets::load_or_create(&folder.join("dev.env"))?,
        parts: parts.clone(),
    };
    build(workspace, parts)?;
    let running = start(workspace, &plan)?;
    let replay = || {
        let mut command = mediaflow(workspace);
        command.envs(&plan.variables).args([
            "replay",
            "--origin",
            &format!("http://{}", running.addresses.origin),
        ]);
        command
    };
    check::walk(&check::Walk {
        addresses: running.addresses,
        brand: &running.brand,
        surface: SURFACE,
        admin_token: &plan.variables[ADMIN_TOKEN],
        replay: &replay,
    })
}

/// What has to be built, in the order in which one waits least.
fn build(workspace: &Workspace, parts: &Parts) -> Result<()> {
    let mut steps = vec![tools::RUST, tools::NPM];
    if !parts.is_empty() {
        steps.push(tools::DEBIAN);
    }
    if parts.contains(&Part::Kafka) {
        steps.push(("up-kafka", "Apache Kafka", stack::broker as _));
    }
    steps.extend([
        (
            "up-worker",
            "building the worker",
            bundle::build_worker as _,
        ),
        (
            "up-component",
            "building the component",
            bundle::build_component as _,
        ),
        (
            "up-programs",
            "building the origin and the component's host",
            programs as _,
        ),
    ]);
    let mut progress = Progress::new(steps.len(), workspace.output("xtask-logs"));
    for (slug, name, work) in steps {
        let step = progress.begin(slug, name);
        step.clear();
        let outcome: Result<String> = work(workspace, &step);
        step.end(outcome.as_deref().unwrap_or("failed"));
        outcome?;
    }
    Ok(())
}

fn programs(workspace: &Workspace, step: &crate::progress::Step) -> Result<String> {
    step.must(&mut workspace.cargo(&[
        "build",
        "--package",
        "mediaflow-server",
        "--package",
        "mediaflow-edge-host",
        "--bins",
    ]))?;
    Ok(String::new())
}

fn start(workspace: &Workspace, plan: &Plan) -> Result<Running> {
    let stack = Stack::start(workspace, &plan.parts, &plan.data)?;
    let log = |name: &str| plan.logs.join(format!("{name}.log"));

    let mut cms = Program::start(
        "the simulated publisher",
        {
            let mut command = mediaflow(workspace);
            command
                .args(["simulate", "serve", "--listen"])
                .arg(format!("127.0.0.1:{}", plan.ports.cms));
            if plan.ports.origin != 0 {
                // Only a port that is known beforehand can be told to both.
                command.arg("--origin");
                command.arg(format!("http://127.0.0.1:{}", plan.ports.origin));
            }
            command
        },
        log("cms"),
    )?;
    let configuration = config::write(
        mediaflow(workspace),
        &plan.data,
        plan.ports,
        cms.address("cms")?,
        &stack,
    )?;

    let mut origin = Program::start(
        "the origin",
        {
            let mut command = mediaflow(workspace);
            command
                .envs(&plan.variables)
                .env(
                    "MEDIAFLOW_WEBHOOK_SECRETS",
                    config::webhook_secrets(mediaflow(workspace))?,
                )
                .env("MEDIAFLOW_SECURE_COOKIES", "false")
                .args(["serve", "--config"])
                .arg(&configuration.file);
            command
        },
        log("origin"),
    )?;
    let origin_address = origin.address("origin")?;
    let native = origin.address("edge")?;
    let kv = origin.address("kv")?;

    let mut workerd = Program::start(
        "workerd",
        workerd(workspace, plan, &configuration, origin_address, kv)?,
        log("workerd"),
    )?;
    let workerd_address = workerd.address("http")?;

    let mut spin = Program::start(
        "the component's host",
        host(workspace, plan, &configuration, origin_address, kv),
        log("spin"),
    )?;
    let spin_address = spin.address("http")?;

    Ok(Running {
        programs: vec![cms, origin, workerd, spin],
        brand: configuration.brand,
        addresses: Addresses {
            origin: origin_address,
            native,
            workerd: workerd_address,
            spin: spin_address,
        },
        _stack: stack,
    })
}

/// The origin's program, as the workspace builds it.
fn mediaflow(workspace: &Workspace) -> Command {
    let mut command = Command::new(workspace.target.join("debug/mediaflow"));
    command.current_dir(&workspace.root);
    command
}

/// workerd with the built worker, its KV namespace being the origin's.
fn workerd(
    workspace: &Workspace,
    plan: &Plan,
    configuration: &Configuration,
    origin: SocketAddr,
    kv: SocketAddr,
) -> Result<Command> {
    let mut command = Command::new(workspace.workerd()?);
    command
        .current_dir(&workspace.root)
        .envs(&plan.variables)
        .env("MEDIAFLOW_ORIGIN", format!("http://{origin}"))
        .env("MEDIAFLOW_EDGE_ID", "workerd")
        .env("MEDIAFLOW_BRANDS", &configuration.edge_brands)
        // Plain HTTP on loopback: a browser would drop a `Secure` cookie.
        .env("MEDIAFLOW_SECURE_COOKIES", "false")
        .args(["serve", bundle::WORKERD_CONFIG, "--experimental"])
        .arg(format!(
            "--socket-addr=http=127.0.0.1:{}",
            plan.ports.workerd
        ))
        .arg(format!("--external-addr=kv={kv}"))
        // Its port on standard output, where the other programs say theirs.
        .arg("--control-fd=1");
    Ok(command)
}

/// The host of the Spin component. Spin's variables have no prefix of ours.
fn host(
    workspace: &Workspace,
    plan: &Plan,
    configuration: &Configuration,
    origin: SocketAddr,
    kv: SocketAddr,
) -> Command {
    let mut command = Command::new(workspace.target.join("debug/mediaflow-edge-host"));
    // An edge has no use for an editor's token.
    for (name, value) in plan.variables.iter().filter(|(n, _)| *n != ADMIN_TOKEN) {
        if let Some(name) = name.strip_prefix("MEDIAFLOW_") {
            command.env(format!("SPIN_VARIABLE_{name}"), value);
        }
    }
    command
        .current_dir(&workspace.root)
        .env("SPIN_VARIABLE_ORIGIN_URL", format!("http://{origin}"))
        .env("SPIN_VARIABLE_EDGE_ID", "spin")
        .env("SPIN_VARIABLE_BRANDS", &configuration.edge_brands)
        .env("SPIN_VARIABLE_SECURE_COOKIES", "false")
        .arg("--component")
        .arg(bundle::component_file(workspace))
        .args(["--listen", &format!("127.0.0.1:{}", plan.ports.spin)])
        .args(["--kv", &format!("http://{kv}")])
        .args(["--allow-outbound", &format!("http://{origin}")]);
    command
}

fn print_ways_in(running: &Running, plan: &Plan) {
    let brand = &running.brand;
    let Addresses {
        origin,
        native,
        workerd,
        spin,
        ..
    } = running.addresses;
    println!(
        "
Everything runs; Ctrl-C stops it. Logs are in {logs}.

  reader page   http://{workerd}/r/{brand}
  a feed        http://{workerd}/v1/feed/{brand}/{SURFACE}?explain=1
  the same from the component   http://{spin}/v1/feed/{brand}/{SURFACE}
  and from the origin's edge    http://{native}/v1/feed/{brand}/{SURFACE}
  admin API     http://{origin}/admin/v1/brands/{brand}

Send it readers (their clicks against those of an editorial front page):

  target/debug/mediaflow simulate drive --edge http://{native}

Pin a story to the first place for an hour (its id is an item's `id` in the feed):

  curl -X POST http://{origin}/admin/v1/brands/{brand}/surfaces/{SURFACE}/pins \\
    -H 'authorization: Bearer {token}' -H 'content-type: application/json' \\
    -d '{{\"content_id\": \"ID\", \"slot\": 0, \"ttl_min\": 60}}'
",
        logs = plan.logs.display(),
        token = plan.variables[ADMIN_TOKEN],
    );
}
