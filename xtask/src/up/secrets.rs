//! Development secrets: made once, random, kept in `var/dev.env` and nowhere else.
//!
//! A deployment makes its own; nothing here reaches one.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

/// The editor that `up` invents: may do everything on every brand.
const EDITOR: &str = "developer";
/// The editor's token, as the client commands of `mediaflow` read it; the origin knows its hash.
pub const ADMIN_TOKEN: &str = "MEDIAFLOW_TOKEN";

/// Names and values, as they go into the environment of every process.
pub type Variables = BTreeMap<String, String>;

/// Reads the file, or makes it on the first run.
///
/// # Errors
/// When the file cannot be read, or holds a line that is not `NAME=value`.
pub fn load_or_create(file: &Path) -> Result<Variables> {
    if !file.exists() {
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(file, render(&invent()?))
            .with_context(|| format!("cannot write {}", file.display()))?;
        only_for_the_owner(file)?;
    }
    parse(&fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?)
        .with_context(|| format!("{}: mend it, or delete it for new secrets", file.display()))
}

fn invent() -> Result<Variables> {
    let admin = random_hex(24)?;
    let admin_hash = hex(&Sha256::digest(admin.as_bytes()));
    let variables = [
        ("MEDIAFLOW_TOKEN_KEYS", format!("1:{}", random_hex(32)?)),
        ("MEDIAFLOW_READER_KEY", random_hex(32)?),
        ("MEDIAFLOW_EXPOSURE_KEY", random_hex(16)?),
        ("MEDIAFLOW_LOGIN_KEY", random_hex(32)?),
        ("MEDIAFLOW_EDGE_TOKEN", random_hex(24)?),
        (
            "MEDIAFLOW_ADMIN_TOKENS",
            format!("{EDITOR}:*=admin:{admin_hash}"),
        ),
        (ADMIN_TOKEN, admin),
    ];
    Ok(variables
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect())
}

fn render(variables: &Variables) -> String {
    let mut text = String::from(
        "# Secrets of this checkout's development processes. Made by `cargo xtask up`; delete for new ones.\n",
    );
    for (name, value) in variables {
        text.push_str(&format!("{name}={value}\n"));
    }
    text
}

fn parse(text: &str) -> Result<Variables> {
    let mut variables = Variables::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match line.split_once('=') {
            Some((name, value)) => variables.insert(name.to_owned(), value.to_owned()),
            None => bail!("line {} is not NAME=value", number + 1),
        };
    }
    Ok(variables)
}

fn random_hex(bytes: usize) -> Result<String> {
    let mut random = vec![0; bytes];
    getrandom::fill(&mut random).context("the system gives no randomness")?;
    Ok(hex(&random))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn only_for_the_owner(file: &Path) -> Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(file, fs::Permissions::from_mode(0o600))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let invented = invent().unwrap();
        assert_eq!(parse(&render(&invented)).unwrap(), invented);
    }

    #[test]
    fn the_origin_learns_only_the_hash_of_the_editors_token() {
        let invented = invent().unwrap();
        let tokens = &invented["MEDIAFLOW_ADMIN_TOKENS"];
        assert!(!tokens.contains(&invented[ADMIN_TOKEN]));
        assert!(tokens.ends_with(&hex(&Sha256::digest(invented[ADMIN_TOKEN].as_bytes()))));
    }

    #[test]
    fn a_line_that_is_no_variable_is_refused_by_its_number() {
        let error = parse("A=1\n\n# note\nnonsense\n").unwrap_err();
        assert_eq!(error.to_string(), "line 4 is not NAME=value");
    }
}
