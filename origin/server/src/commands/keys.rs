//! `mediaflow keys`: new secrets, rotation of the token key, hashes of admin tokens.

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use mediaflow_admin::Tokens;

/// Arguments of `keys`.
#[derive(Debug, Args)]
pub struct KeysArguments {
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Prints a complete set of secrets for a first start, as KEY=value lines
    New,
    /// Prints MEDIAFLOW_TOKEN_KEYS with a new first key; the old ones still open
    Rotate {
        /// The present value; default: the environment's
        #[arg(long, env = "MEDIAFLOW_TOKEN_KEYS", hide_env_values = true)]
        present: String,
        /// Keys kept, the new one included: older tokens become unreadable
        #[arg(long, default_value_t = 3)]
        keep: usize,
    },
    /// Reads a token from standard input and prints its entry for MEDIAFLOW_ADMIN_TOKENS
    Admin {
        /// Who holds it, as the audit names them
        name: String,
        /// For example `daily=editor+planet=viewer` or `*=admin`
        grants: String,
    },
}

fn random_hex(bytes: usize) -> Result<String> {
    let mut b = vec![0u8; bytes];
    getrandom::fill(&mut b).context("the system has no randomness")?;
    Ok(b.iter().map(|x| format!("{x:02x}")).collect())
}

/// Runs `keys`.
pub fn run(arguments: &KeysArguments) -> Result<()> {
    match &arguments.command {
        KeysCommand::New => {
            println!("MEDIAFLOW_TOKEN_KEYS=1:{}", random_hex(32)?);
            println!("MEDIAFLOW_READER_KEY={}", random_hex(32)?);
            println!("MEDIAFLOW_EXPOSURE_KEY={}", random_hex(16)?);
            println!("MEDIAFLOW_LOGIN_KEY={}", random_hex(32)?);
            println!("MEDIAFLOW_EDGE_TOKEN={}", random_hex(32)?);
            let token = random_hex(24)?;
            println!(
                "MEDIAFLOW_ADMIN_TOKENS={}",
                Tokens::entry("admin", "*=admin", &token)
            );
            println!("MEDIAFLOW_TOKEN={token}");
            eprintln!(
                "MEDIAFLOW_TOKEN is the admin token itself, for this machine's client commands: the server needs only its hash"
            );
        }
        KeysCommand::Rotate { present, keep } => println!(
            "MEDIAFLOW_TOKEN_KEYS={}",
            rotate(present, *keep, &random_hex(32)?)?
        ),
        KeysCommand::Admin { name, grants } => {
            let mut token = String::new();
            std::io::stdin()
                .read_line(&mut token)
                .context("standard input cannot be read")?;
            let token = token.trim();
            if token.len() < 16 {
                bail!(
                    "the token on standard input has {} characters; use at least 16",
                    token.len()
                );
            }
            let entry = Tokens::entry(name, grants, token);
            Tokens::parse(&entry)?;
            println!("{entry}");
        }
    }
    Ok(())
}

/// The new key gets the lowest free key id and goes first.
fn rotate(present: &str, keep: usize, new_hex: &str) -> Result<String> {
    let keys: Vec<&str> = present
        .split(',')
        .map(str::trim)
        .filter(|k| !k.is_empty())
        .collect();
    let ids = keys
        .iter()
        .map(|k| k.split_once(':').and_then(|(id, _)| id.parse::<u8>().ok()))
        .collect::<Option<Vec<u8>>>()
        .context("the present MEDIAFLOW_TOKEN_KEYS is not `id:64 hex digits,…`")?;
    let kept = keep.clamp(1, 16) - 1;
    let free = (1..=u8::MAX)
        .find(|id| !ids.iter().take(kept).any(|i| i == id))
        .unwrap_or(1);
    let mut out = vec![format!("{free}:{new_hex}")];
    out.extend(keys.iter().take(kept).map(|k| (*k).to_owned()));
    Ok(out.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotation_puts_a_new_key_first_and_keeps_the_old_ones() {
        assert_eq!(rotate("1:aa", 3, "bb").unwrap(), "2:bb,1:aa");
        assert_eq!(rotate("2:bb,1:aa", 2, "cc").unwrap(), "1:cc,2:bb");
        assert!(rotate("nonsense", 2, "cc").is_err());
    }
}
