//! File paths as URIs (RFC 3986).
//!
//! *Invariant:* the bytes of a path survive: what is not unreserved is percent-encoded, also what is no UTF-8.

use std::fmt::Write as _;
use std::path::{Component, Path};

/// Where a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// Below the root of the repository.
    Relative(String),
    /// A `file:` URI.
    Absolute(String),
}

/// The address of `path`, relative to `root` if it lies below it.
pub(crate) fn address(path: &Path, root: &Path) -> Address {
    match path.strip_prefix(root) {
        Ok(relative) => Address::Relative(encode(relative)),
        Err(_) if path.is_absolute() => Address::Absolute(format!("file://{}", encode(path))),
        Err(_) => Address::Relative(encode(path)),
    }
}

/// The `file:` URI of a directory, with a slash at its end.
pub(crate) fn directory(path: &Path) -> String {
    let encoded = encode(path);
    format!("file://{}/", encoded.trim_end_matches('/'))
}

fn encode(path: &Path) -> String {
    let mut uri = String::new();
    for component in path.components().filter(|component| *component != Component::CurDir) {
        if !(uri.is_empty() || uri.ends_with('/')) {
            uri.push('/');
        }
        match component {
            Component::RootDir => uri.push('/'),
            other => encode_into(&mut uri, other.as_os_str().as_encoded_bytes()),
        }
    }
    uri
}

fn encode_into(uri: &mut String, bytes: &[u8]) {
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            // Writing to a `String` cannot fail.
            let _ = write!(uri, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_uris() {
        let root = Path::new("/repo");
        let relative = |uri: &str| Address::Relative(uri.to_owned());
        assert_eq!(address(Path::new("/repo/src/a b#%.py"), root), relative("src/a%20b%23%25.py"));
        assert_eq!(address(Path::new("/repo/café.py"), root), relative("caf%C3%A9.py"));
        assert_eq!(address(Path::new("/other/a.py"), root), Address::Absolute("file:///other/a.py".to_owned()));
        assert_eq!(address(Path::new("<stdin>"), root), relative("%3Cstdin%3E"));
        assert_eq!(directory(Path::new("/re po")), "file:///re%20po/");
        assert_eq!(directory(Path::new("/")), "file:///");
    }
}
