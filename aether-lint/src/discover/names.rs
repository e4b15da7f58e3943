//! How files are called in reports.
//!
//! *Invariant:* a name is one line of printable UTF-8, whatever the file system allows.

use std::fmt::Write as _;
use std::path::{Component, Path};

/// The name of the file at `absolute`: relative if it lies below `cwd`, otherwise as `spelled`.
pub(crate) fn display(absolute: &Path, cwd: &Path, spelled: &Path) -> String {
    match absolute.strip_prefix(cwd) {
        Ok(relative) if relative.components().next().is_some() => printable(relative),
        _ => printable(spelled),
    }
}

/// `path` with `/` between its parts; bytes that are no text and control characters are escaped as `\xNN`.
pub(crate) fn printable(path: &Path) -> String {
    let mut text = String::new();
    for component in path.components().filter(|component| *component != Component::CurDir) {
        if !(text.is_empty() || text.ends_with('/')) {
            text.push('/');
        }
        match component {
            Component::RootDir => text.push('/'),
            other => escape_into(&mut text, other.as_os_str().as_encoded_bytes()),
        }
    }
    text
}

fn escape_into(text: &mut String, bytes: &[u8]) {
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() {
                // Writing to a `String` cannot fail.
                let _ = write!(text, "\\x{:02x}", u32::from(character));
            } else {
                text.push(character);
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
}

/// Tells apart, by a number, the names that came out alike because both needed escapes. Names arrive sorted.
#[derive(Debug, Default)]
pub(super) struct Distinct {
    last: String,
    times: usize,
}

impl Distinct {
    /// `name`, with a number behind it if it came before.
    pub(super) fn name(&mut self, name: String) -> String {
        if name == self.last {
            self.times += 1;
            return format!("{name} ({})", self.times);
        }
        self.times = 1;
        self.last.clone_from(&name);
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn any_name_becomes_one_printable_line() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt as _;
        let name = |bytes: &[u8]| printable(Path::new(OsStr::from_bytes(bytes)));
        assert_eq!(name(b"src/caf\xC3\xA9.py"), "src/café.py");
        assert_eq!(name(b"./src//caf\xE9.py"), "src/caf\\xe9.py");
        assert_eq!(name(b"/a/new\nline\x1b[31m.py"), "/a/new\\x0aline\\x1b[31m.py");
    }
}
