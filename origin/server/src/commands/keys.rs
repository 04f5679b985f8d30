//! `mediaflow keys`: new secrets, rotation of the token key, hashes of admin tokens.

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use mediaflow_admin::Tokens;
use mediaflow_shared::id::check_slug;

/// Arguments of `keys`.
#[derive(Debug, Args)]
pub struct KeysArguments {
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Prints a complete set of secrets for a first start, as KEY=value lines
    New {
        /// A `[[collect.sender]]` that gets a write key (MEDIAFLOW_WRITE_KEYS); again for more
        #[arg(long = "sender", value_name = "NAME")]
        senders: Vec<String>,
        /// A content source that gets a webhook secret (MEDIAFLOW_WEBHOOK_SECRETS); again for more
        #[arg(long = "source", value_name = "NAME")]
        sources: Vec<String>,
        /// Tokens for reader-generated content too (MEDIAFLOW_UGC_TOKEN, MEDIAFLOW_MODERATION_TOKEN); their routes exist
        /// only with them
        #[arg(long)]
        ugc: bool,
    },
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
        KeysCommand::New {
            senders,
            sources,
            ugc,
        } => {
            for (name, value) in new_set(senders, sources, *ugc)? {
                println!("{name}={value}");
            }
            eprintln!(
                "MEDIAFLOW_TOKEN is the admin token itself, for this machine's client commands: the server needs only its hash"
            );
            if senders.is_empty() || sources.is_empty() {
                eprintln!(
                    "write keys and webhook secrets belong to names of your configuration: add --sender NAME, --source NAME"
                );
            }
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

/// Every secret a first start needs, with its name: those of senders and sources as they are named.
fn new_set(
    senders: &[String],
    sources: &[String],
    ugc: bool,
) -> Result<Vec<(&'static str, String)>> {
    let token = random_hex(24)?;
    let mut set = vec![
        ("MEDIAFLOW_TOKEN_KEYS", format!("1:{}", random_hex(32)?)),
        ("MEDIAFLOW_READER_KEY", random_hex(32)?),
        ("MEDIAFLOW_EXPOSURE_KEY", random_hex(16)?),
        ("MEDIAFLOW_LOGIN_KEY", random_hex(32)?),
        ("MEDIAFLOW_EDGE_TOKEN", random_hex(32)?),
        (
            "MEDIAFLOW_ADMIN_TOKENS",
            Tokens::entry("admin", "*=admin", &token),
        ),
        ("MEDIAFLOW_TOKEN", token),
    ];
    if !senders.is_empty() {
        set.push(("MEDIAFLOW_WRITE_KEYS", pairs(senders, 24)?));
    }
    if !sources.is_empty() {
        set.push(("MEDIAFLOW_WEBHOOK_SECRETS", pairs(sources, 32)?));
    }
    if ugc {
        set.push(("MEDIAFLOW_UGC_TOKEN", random_hex(24)?));
        set.push(("MEDIAFLOW_MODERATION_TOKEN", random_hex(24)?));
    }
    Ok(set)
}

/// `name:secret,name:secret`.
fn pairs(names: &[String], bytes: usize) -> Result<String> {
    let pair = |name: &String| {
        check_slug(name)
            .with_context(|| format!("{name:?} names no sender or source; use its slug"))?;
        Ok(format!("{name}:{}", random_hex(bytes)?))
    };
    let pairs: Vec<String> = names.iter().map(pair).collect::<Result<_>>()?;
    Ok(pairs.join(","))
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
    use mediaflow_ingest::collector::parse_write_keys;
    use mediaflow_ingest::source::parse_webhook_secrets;

    #[test]
    fn a_new_set_is_what_the_server_reads() {
        let names = ["web".to_owned(), "lake".to_owned()];
        let set = new_set(&names, &names[..1], true).unwrap();
        let value = |name: &str| set.iter().find(|s| s.0 == name).map(|s| s.1.as_str());
        let keys = parse_write_keys(value("MEDIAFLOW_WRITE_KEYS").unwrap()).unwrap();
        assert!(keys.len() == 2 && keys.contains_key("web") && keys.contains_key("lake"));
        let secrets = parse_webhook_secrets(value("MEDIAFLOW_WEBHOOK_SECRETS").unwrap()).unwrap();
        assert!(secrets.len() == 1 && secrets.contains_key("web"));
        Tokens::parse(value("MEDIAFLOW_ADMIN_TOKENS").unwrap()).unwrap();
        assert!(value("MEDIAFLOW_UGC_TOKEN").is_some());
        // A sender or source that is not configured stops the server: nothing is printed that nobody named.
        let plain = new_set(&[], &[], false).unwrap();
        assert!(
            plain
                .iter()
                .all(|s| !s.0.contains("WRITE") && !s.0.contains("WEBHOOK"))
        );
        assert!(new_set(&["A B".to_owned()], &[], false).is_err());
    }

    #[test]
    fn rotation_puts_a_new_key_first_and_keeps_the_old_ones() {
        assert_eq!(rotate("1:aa", 3, "bb").unwrap(), "2:bb,1:aa");
        assert_eq!(rotate("2:bb,1:aa", 2, "cc").unwrap(), "1:cc,2:bb");
        assert!(rotate("nonsense", 2, "cc").is_err());
    }
}
