//! The test command: everything that must hold before a change lands, in one run.
//!
//! Steps go in order, from the cheap to the dear; a failing one does not stop those after it. What
//! comes from the network is fetched beside them. Each step that is no test run counts as one
//! passed or failed item, a test run with its own numbers; the last line is the sum.
//!
//! Nothing here changes a file of the checkout outside `target` and `tests/js/node_modules`.

mod deny;
mod tally;

use std::cell::RefCell;
use std::process::Command;
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, bail};

use crate::progress::{Progress, Step};
use crate::tools::{self, Tool};
use crate::workspace::Workspace;
use crate::{bundle, layers};
use tally::Tally;

/// How a step ended.
#[derive(Debug)]
pub struct Outcome {
    tally: Tally,
    note: String,
    /// What was left out, one line each.
    skipped: Vec<String>,
}

impl Outcome {
    fn passed(note: &str) -> Self {
        Self {
            tally: Tally::PASSED,
            note: note.to_owned(),
            skipped: Vec::new(),
        }
    }

    fn skipped(name: &str) -> Self {
        Self {
            tally: Tally::SKIPPED,
            note: "skipped".into(),
            skipped: vec![name.to_owned()],
        }
    }

    fn failed() -> Self {
        Self {
            tally: Tally::FAILED,
            note: "FAILED".into(),
            skipped: Vec::new(),
        }
    }

    /// A finished test run: its numbers, and a failure of the run itself where none is counted.
    fn tests((mut tally, skipped): (Tally, Vec<String>), success: bool) -> Self {
        if !success && tally.failed == 0 {
            tally.failed = 1;
        }
        Self {
            note: tally.to_string(),
            tally,
            skipped,
        }
    }
}

/// One step: the name for `--only` and its log, what a person reads, the work.
type GateStep = (
    &'static str,
    &'static str,
    fn(&Gate, &Step) -> Result<Outcome>,
);

const STEPS: &[GateStep] = &[
    ("rust", "Rust's WebAssembly targets", Gate::rust),
    ("format", "formatting", Gate::format),
    ("layers", "who may import whom", Gate::layers),
    ("lint", "lints", Gate::lint),
    (
        "lint-worker",
        "lints of the worker and the npm package",
        Gate::lint_worker,
    ),
    (
        "lint-component",
        "lints of the component",
        Gate::lint_component,
    ),
    ("npm", "JavaScript packages", Gate::npm),
    ("worker", "building the worker", Gate::worker),
    ("component", "building the component", Gate::component),
    ("wasm", "building the npm package", Gate::wasm),
    ("programs", "building the programs", Gate::programs),
    ("build", "building the tests", Gate::build),
    ("debian", "Chromium, Redis, Maven", Gate::debian),
    ("test", "Rust tests", Gate::test),
    ("js", "JavaScript tests", Gate::js),
    ("licences", "licences, bans and sources", Gate::licences),
    ("advisories", "advisories", Gate::advisories),
];

/// An installation that goes on beside the steps until one of them needs it.
#[derive(Debug)]
struct Beside {
    tool: Tool,
    started: RefCell<Option<JoinHandle<Result<String>>>>,
}

#[derive(Debug)]
struct Gate {
    workspace: Workspace,
    npm: Beside,
    debian: Beside,
    duckdb: Beside,
    deny: Beside,
}

/// Runs the whole gate, or the steps named by `only`, and tells whether everything held.
pub fn run(workspace: &Workspace, only: &[String]) -> Result<bool> {
    for name in only {
        if !STEPS.iter().any(|(slug, ..)| slug == name) {
            let known: Vec<_> = STEPS.iter().map(|(slug, ..)| *slug).collect();
            bail!("no step is called {name}; there are: {}", known.join(", "));
        }
    }
    let chosen: Vec<_> = STEPS
        .iter()
        .filter(|(slug, ..)| only.is_empty() || only.iter().any(|name| name == slug))
        .collect();
    // A few chosen steps may need none of it, and must not end while it is at work.
    let ahead = only.is_empty();
    let gate = Gate {
        workspace: workspace.clone(),
        npm: Beside::new(workspace, tools::NPM, ahead),
        debian: Beside::new(workspace, tools::DEBIAN, ahead),
        duckdb: Beside::new(workspace, tools::DUCKDB, ahead),
        deny: Beside::new(workspace, tools::DENY, ahead),
    };
    let mut progress = Progress::new(chosen.len(), workspace.output("xtask-logs"));
    let mut sum = Tally::default();
    for (slug, name, work) in chosen {
        let step = progress.begin(slug, name);
        step.clear();
        let log = step.log().to_owned();
        let (outcome, trouble) = match work(&gate, &step) {
            Ok(outcome) => (outcome, None),
            Err(error) => (Outcome::failed(), Some(format!("{error:#}"))),
        };
        step.end(
            if outcome.tally == Tally::PASSED && outcome.note.is_empty() {
                "ok"
            } else {
                &outcome.note
            },
        );
        for name in &outcome.skipped {
            println!("    skipped: {name}");
        }
        if outcome.tally.failed > 0 {
            println!("{}", trouble.unwrap_or_else(|| crate::progress::tail(&log)));
        }
        sum += outcome.tally;
    }
    println!("{sum}");
    Ok(sum.failed == 0)
}

impl Beside {
    fn new(workspace: &Workspace, tool: Tool, ahead: bool) -> Self {
        let workspace = workspace.clone();
        Self {
            tool,
            started: RefCell::new(ahead.then(|| thread::spawn(move || install(&workspace, tool)))),
        }
    }

    /// Waits until it is installed. Installing again what is there is a look, so nothing is kept.
    fn ready(&self, workspace: &Workspace) -> Result<String> {
        match self.started.borrow_mut().take() {
            None => install(workspace, self.tool),
            Some(handle) => match handle.join() {
                Ok(outcome) => outcome,
                Err(_) => bail!("installing {} panicked; the message is above", self.tool.1),
            },
        }
    }
}

fn install(workspace: &Workspace, (slug, _, work): Tool) -> Result<String> {
    let step = Step::unseen(workspace.output(&format!("xtask-logs/{slug}.log")));
    step.clear();
    work(workspace, &step)
}

impl Gate {
    fn rust(&self, step: &Step) -> Result<Outcome> {
        let (_, _, install) = tools::RUST;
        Ok(Outcome::passed(&install(&self.workspace, step)?))
    }

    fn format(&self, step: &Step) -> Result<Outcome> {
        step.must(&mut self.workspace.cargo(&["fmt", "--all", "--check"]))
            .context("run `cargo fmt --all`")?;
        Ok(Outcome::passed(""))
    }

    fn layers(&self, _: &Step) -> Result<Outcome> {
        let found = layers::violations(&self.workspace)?;
        if found.is_empty() {
            return Ok(Outcome::passed(""));
        }
        bail!("    {}", found.join("\n    "));
    }

    /// For this machine; what exists only as WebAssembly is linted by the next two steps.
    fn lint(&self, step: &Step) -> Result<Outcome> {
        step.must(&mut self.workspace.cargo(&[
            "clippy",
            "--locked",
            "--workspace",
            "--all-targets",
            "--",
            "--deny",
            "warnings",
        ]))?;
        Ok(Outcome::passed(""))
    }

    fn lint_worker(&self, step: &Step) -> Result<Outcome> {
        self.lint_for(
            step,
            "wasm32-unknown-unknown",
            &["mediaflow-edge-cloudflare", "mediaflow-wasm"],
        )
    }

    fn lint_component(&self, step: &Step) -> Result<Outcome> {
        self.lint_for(step, "wasm32-wasip2", &["mediaflow-edge-spin"])
    }

    fn lint_for(&self, step: &Step, target: &str, packages: &[&str]) -> Result<Outcome> {
        let mut command = self
            .workspace
            .cargo(&["clippy", "--locked", "--target", target]);
        for package in packages {
            command.args(["--package", package]);
        }
        step.must(command.args(["--", "--deny", "warnings"]))?;
        Ok(Outcome::passed(""))
    }

    fn npm(&self, _: &Step) -> Result<Outcome> {
        Ok(Outcome::passed(&self.npm.ready(&self.workspace)?))
    }

    fn worker(&self, step: &Step) -> Result<Outcome> {
        self.npm.ready(&self.workspace)?;
        Ok(Outcome::passed(&bundle::build_worker(
            &self.workspace,
            step,
        )?))
    }

    fn component(&self, step: &Step) -> Result<Outcome> {
        Ok(Outcome::passed(&bundle::build_component(
            &self.workspace,
            step,
        )?))
    }

    fn wasm(&self, step: &Step) -> Result<Outcome> {
        self.npm.ready(&self.workspace)?;
        Ok(Outcome::passed(&bundle::build_wasm(&self.workspace, step)?))
    }

    /// The end-to-end tests start `mediaflow` and the component's host as processes.
    fn programs(&self, step: &Step) -> Result<Outcome> {
        step.must(
            &mut self
                .workspace
                .cargo(&["build", "--locked", "--workspace", "--bins"]),
        )?;
        Ok(Outcome::passed(""))
    }

    fn build(&self, step: &Step) -> Result<Outcome> {
        step.must(
            &mut self
                .workspace
                .cargo(&["test", "--locked", "--workspace", "--no-run"]),
        )?;
        Ok(Outcome::passed(""))
    }

    fn debian(&self, _: &Step) -> Result<Outcome> {
        let note = self.debian.ready(&self.workspace)?;
        let absent = tools::absent_for_tests();
        if absent.is_empty() {
            return Ok(Outcome::passed(&note));
        }
        Ok(Outcome::skipped(&format!(
            "what needs {} ({note})",
            absent.join(" or ")
        )))
    }

    fn test(&self, step: &Step) -> Result<Outcome> {
        self.debian.ready(&self.workspace)?;
        // Where it is absent the test that needs it says so.
        self.duckdb.ready(&self.workspace)?;
        let status = step.run(&mut self.workspace.cargo(&[
            "test",
            "--locked",
            "--workspace",
            "--no-fail-fast",
            "--",
            // A passing test's output is where it says that it was skipped.
            "--show-output",
        ]))?;
        Ok(Outcome::tests(
            tally::of_cargo(&step.output()),
            status.success(),
        ))
    }

    fn js(&self, step: &Step) -> Result<Outcome> {
        self.npm.ready(&self.workspace)?;
        self.debian.ready(&self.workspace)?;
        let status = step.run(
            Command::new("node")
                .args(["--test", "--test-reporter=tap"])
                .current_dir(self.workspace.at("tests/js")),
        )?;
        Ok(Outcome::tests(
            tally::of_node(&step.output()),
            status.success(),
        ))
    }

    fn licences(&self, step: &Step) -> Result<Outcome> {
        self.deny.ready(&self.workspace)?;
        deny::licences(&self.workspace, step)
    }

    fn advisories(&self, step: &Step) -> Result<Outcome> {
        self.deny.ready(&self.workspace)?;
        deny::advisories(&self.workspace, step)
    }
}
