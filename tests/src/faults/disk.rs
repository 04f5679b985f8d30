//! Disks without room, and clocks that are wrong: what the machine under one origin does.

use super::cases::{ms, recovered};
use super::load::{Load, Shape};
use super::stand::Stand;
use super::{Found, Plan, mix};
use anyhow::{Result, ensure};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Size of the disk that is filled, and what it is enlarged to.
const SIZE: (&str, &str) = ("64m", "512m");
/// A disk without room refuses within this.
const REFUSES: Duration = Duration::from_secs(60);
/// The clock is right, a day ahead, a day behind, and again, for 0.7 s each.
const CLOCK: &str = "0,86400000,-86400000/700";

/// A small disk of memory, gone with this value.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: &Path) -> Result<Option<Self>> {
        std::fs::create_dir_all(at)?;
        let size = format!("size={}", SIZE.0);
        let done = run("mount", &["-t", "tmpfs", "-o", &size, "tmpfs"], at)?;
        Ok(done.then(|| Self(at.to_owned())))
    }

    fn enlarge(&self) -> Result<()> {
        let size = format!("remount,size={}", SIZE.1);
        ensure!(run("mount", &["-o", &size], &self.0)?, "cannot enlarge it");
        Ok(())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Whoever still holds a file of it must not keep it mounted.
        let _ = run("umount", &["-l"], &self.0);
    }
}

fn run(program: &str, arguments: &[&str], at: &Path) -> Result<bool> {
    let mut command = Command::new(program);
    command.args(arguments).arg(at).stderr(Stdio::null());
    Ok(command.status().is_ok_and(|s| s.success()))
}

/// Grows a file until only about so many bytes are free.
fn fill(file: &Path, leave: usize) -> Result<()> {
    use std::io::Write as _;
    let mut f = std::fs::File::options()
        .create(true)
        .append(true)
        .open(file)?;
    let block = vec![0x5a; leave];
    while f.write_all(&block).is_ok() {}
    let length = f.metadata()?.len();
    f.set_len(length.saturating_sub(leave as u64))?;
    Ok(())
}

/// Fills it until so many requests were refused.
async fn filled(ballast: &Path, leave: usize, load: &Load, refusals: u64) -> Result<()> {
    let (before, end) = (load.refused(), Instant::now() + REFUSES);
    fill(ballast, leave)?;
    while load.refused() < before + refusals {
        ensure!(Instant::now() < end, "a full disk refuses nothing");
        tokio::time::sleep(ms(200)).await;
        fill(ballast, leave / 2)?;
    }
    Ok(())
}

pub async fn disk_full(plan: Plan) -> Result<Found> {
    let kept = tempfile::tempdir()?;
    let Some(disk) = Disk::mount(&kept.path().join("disk"))? else {
        return Ok(Found::skipped("mounting a small disk takes root"));
    };
    let mut stand = Stand::start(Some(&disk.0))?;
    let load = Load::start(&stand.url(), &stand.ledger, plan.seed, Shape::default());
    recovered(&load, Instant::now()).await?;
    // All but a little is taken at once; the load takes the rest.
    filled(&disk.0.join("ballast"), 256 << 10, &load, 5).await?;
    tokio::time::sleep(ms(2_000)).await;
    stand.kill();
    let since = Instant::now();
    disk.enlarge()?;
    stand.restart();
    load.redirect(&stand.url());
    let recovery_s = recovered(&load, since).await?;
    load.end().await;
    let found = stand.compare().await?;
    drop(stand);
    Ok(Found {
        times: 1,
        recovery_s,
        ..found
    })
}

/// Large batches meet little room, so that writes end half-way. Room comes back under the running process, which is killed
/// a moment later, or only once it is dead.
pub async fn short_writes(plan: Plan) -> Result<Found> {
    let kept = tempfile::tempdir()?;
    let Some(disk) = Disk::mount(&kept.path().join("disk"))? else {
        return Ok(Found::skipped("mounting a small disk takes root"));
    };
    disk.enlarge()?;
    let mut stand = Stand::start(Some(&disk.0))?;
    let shape = Shape {
        large: true,
        gentle: true,
        ..Shape::default()
    };
    let load = Load::start(&stand.url(), &stand.ledger, plan.seed, shape);
    recovered(&load, Instant::now()).await?;
    let ballast = disk.0.join("ballast");
    let (mut recovery_s, mut times) = (0_f64, 0_u32);
    for n in 0..(plan.kills / 12).max(2) {
        let h = mix(plan.seed, n.into());
        filled(&ballast, 4_096 * (3 + h as usize % 40), &load, 3).await?;
        times += 1;
        if n % 2 == 0 {
            std::fs::remove_file(&ballast)?;
            // Whether it takes events again or wants to be restarted, it must not take any that it then forgets.
            tokio::time::sleep(ms(1_000 + (h >> 8) % 1_000)).await;
        }
        stand.kill();
        let since = Instant::now();
        if ballast.exists() {
            std::fs::remove_file(&ballast)?;
        }
        stand.restart();
        load.redirect(&stand.url());
        recovery_s = recovery_s.max(recovered(&load, since).await?);
    }
    load.end().await;
    let found = stand.compare().await?;
    drop(stand);
    Ok(Found {
        times,
        recovery_s,
        ..found
    })
}

/// Readers' clocks are wrong.
pub async fn event_times(plan: Plan) -> Result<Found> {
    let shape = Shape {
        skewed: true,
        ..Shape::default()
    };
    over_kills(plan, Stand::start(None)?, shape).await
}

/// The machine's clock steps ahead and back, under every store and role.
pub async fn clock_steps(plan: Plan) -> Result<Found> {
    let variables = vec![("MEDIAFLOW_FAULT_CLOCK", CLOCK.to_owned())];
    over_kills(plan, Stand::start_with(None, variables)?, Shape::default()).await
}

async fn over_kills(plan: Plan, mut stand: Stand, shape: Shape) -> Result<Found> {
    let load = Load::start(&stand.url(), &stand.ledger, plan.seed, shape);
    recovered(&load, Instant::now()).await?;
    let (mut recovery_s, mut times) = (0_f64, 0);
    for n in 0..(plan.kills / 10).max(2) {
        tokio::time::sleep(ms(700 + mix(plan.seed, n.into()) % 1_500)).await;
        times += 1;
        stand.kill();
        let since = Instant::now();
        stand.restart();
        load.redirect(&stand.url());
        recovery_s = recovery_s.max(recovered(&load, since).await?);
    }
    load.end().await;
    Ok(Found {
        times,
        recovery_s,
        ..stand.compare().await?
    })
}
