//! What every adapter refuses before it looks at a store.

use crate::limits::{KEY_BYTES_MAX, NAME_BYTES_MAX, STATE_VALUE_BYTES_MAX};
use crate::{Commit, PortError, PortErrorKind, PortResult};

/// Refuses names that could collide in a composed key or surprise an operator. `what` is named in the error.
///
/// # Errors
/// `Invalid`.
pub fn check_name(what: &str, name: &str) -> PortResult<()> {
    let allowed = |b: u8| {
        b.is_ascii_lowercase()
            || b.is_ascii_digit()
            || matches!(b, b'.' | b'_' | b'-' | b':' | b'/')
    };
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(allowed) {
        let shown: String = name.chars().take(NAME_BYTES_MAX).collect();
        return Err(PortError::new(
            PortErrorKind::Invalid,
            format!(
                "{what} \"{}\" is not a name; use 1 to {NAME_BYTES_MAX} of a-z 0-9 . _ - : /",
                shown.escape_debug()
            ),
        ));
    }
    Ok(())
}

/// Refuses a malformed commit; answers how many bytes its keys and values have.
///
/// # Errors
/// `Invalid` for a bad name or an empty key, `TooLarge`.
pub fn check_commit(commit: &Commit) -> PortResult<usize> {
    let mut total = 0;
    let mut size = |what: &str, bytes: usize, bytes_max: usize| {
        total += bytes;
        if bytes > bytes_max {
            return Err(PortError::too_large(what, bytes, bytes_max));
        }
        Ok(())
    };
    for write in &commit.writes {
        check_name("view", &write.view)?;
        if write.key.is_empty() {
            let message = "a state key is empty; name one";
            return Err(PortError::new(PortErrorKind::Invalid, message));
        }
        size("a state key", write.key.len(), KEY_BYTES_MAX)?;
        let bytes = write.value.as_ref().map_or(0, bytes::Bytes::len);
        size("a state value", bytes, STATE_VALUE_BYTES_MAX)?;
    }
    for require in &commit.requires {
        check_name("view", &require.view)?;
    }
    for entry in &commit.outbox {
        check_name("outbox", &entry.outbox)?;
        size("an outbox key", entry.key.len(), KEY_BYTES_MAX)?;
        size("an outbox value", entry.value.len(), STATE_VALUE_BYTES_MAX)?;
    }
    if let Some(fence) = &commit.fence {
        check_name("fence", &fence.name)?;
    }
    if let Some(progress) = &commit.progress {
        check_name("consumer", &progress.consumer)?;
        check_name("topic", &progress.topic)?;
    }
    Ok(total)
}
