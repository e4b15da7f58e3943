//! From a path to text, whatever lies there.
//!
//! *Invariant:* reading never blocks and never takes more memory than [`SIZE_LIMIT`] allows: what is not a regular
//! file is not opened, and what grows while it is read is cut off and refused.

use std::fs::{self, File, FileType};
use std::io::{self, Read as _};
use std::path::Path;

use aether_rules::{SourceError, SourceKind, SourceText};
use thiserror::Error;

mod encoding;
mod notebook;

pub(crate) use encoding::EncodingError;

/// The largest file that is read, in bytes. Tree and facts take some sixty times the size of the text (measured), so
/// that no file asks for more than a gigabyte.
pub(crate) const SIZE_LIMIT: u64 = 16_000_000;

/// Why one file was left out. The run goes on without it and says so: a skipped file that goes unreported reads as a
/// clean one. Where is said by the diagnostic it becomes.
#[derive(Debug, Error)]
pub(crate) enum ReadError {
    /// The operating system said no.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It was there a moment ago.
    #[error("vanished before it was read")]
    Vanished,
    /// A link to nothing.
    #[error("is a link to a file that does not exist")]
    Dangling,
    /// A directory, a device.
    #[error("is {0}, not a file")]
    NotAFile(&'static str),
    /// Past the limit.
    #[error("is {} MB large; files over {} MB are not analysed", size / 1_000_000, SIZE_LIMIT / 1_000_000)]
    TooLarge { size: u64 },
    /// The bytes are not what they claim to be.
    #[error(transparent)]
    Encoding(#[from] EncodingError),
    /// The JSON around the cells is broken.
    #[error("is no notebook: {0}")]
    Notebook(String),
}

impl ReadError {
    fn help(&self) -> Option<String> {
        match self {
            Self::TooLarge { .. } => Some("leave it out: `extend-exclude = [\"…\"]` in aether.toml".to_owned()),
            Self::Encoding(error) => error.help().map(str::to_owned),
            Self::Notebook(_) => Some("open it with Jupyter to see what is wrong, or exclude it".to_owned()),
            Self::Io(_) | Self::Vanished | Self::Dangling | Self::NotAFile(_) => None,
        }
    }
}

impl From<ReadError> for SourceError {
    fn from(error: ReadError) -> Self {
        Self { message: format!("the file {error}"), help: error.help() }
    }
}

/// What the name of a file says about its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Module,
    Stub,
    Notebook,
}

impl Kind {
    /// By extension; what has none of ours is a module, because somebody named it on the command line.
    pub(crate) fn of(path: &Path) -> Self {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("ipynb") => Self::Notebook,
            Some("pyi") => Self::Stub,
            _ => Self::Module,
        }
    }
}

/// Reads and decodes the file at `path`.
pub(crate) fn read(path: &Path) -> Result<SourceText, ReadError> {
    let bytes = read_bytes(path, SIZE_LIMIT)?;
    text(bytes, Kind::of(path))
}

/// Reads standard input or any other stream, up to the same limit.
pub(crate) fn read_stream(stream: impl io::Read, kind: Kind) -> Result<SourceText, ReadError> {
    let mut bytes = Vec::new();
    let size = stream.take(SIZE_LIMIT + 1).read_to_end(&mut bytes)? as u64;
    if size > SIZE_LIMIT {
        return Err(ReadError::TooLarge { size });
    }
    text(bytes, kind)
}

fn read_bytes(path: &Path, limit: u64) -> Result<Vec<u8>, ReadError> {
    // Opening a FIFO would wait for a writer, so the type is asked before.
    let metadata = fs::metadata(path).map_err(|error| match io_error(error) {
        ReadError::Vanished if path.is_symlink() => ReadError::Dangling,
        other => other,
    })?;
    if !metadata.is_file() {
        return Err(ReadError::NotAFile(kind_of(metadata.file_type())));
    }
    if metadata.len() > limit {
        return Err(ReadError::TooLarge { size: metadata.len() });
    }
    let file = File::open(path).map_err(io_error)?;
    let mut bytes = Vec::with_capacity(metadata.len() as usize + 1);
    let size = file.take(limit + 1).read_to_end(&mut bytes).map_err(io_error)? as u64;
    if size > limit { Err(ReadError::TooLarge { size }) } else { Ok(bytes) }
}

fn io_error(error: io::Error) -> ReadError {
    if error.kind() == io::ErrorKind::NotFound { ReadError::Vanished } else { ReadError::Io(error) }
}

#[cfg(unix)]
fn kind_of(file_type: FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt as _;
    if file_type.is_dir() {
        "a directory"
    } else if file_type.is_fifo() {
        "a named pipe"
    } else if file_type.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

#[cfg(not(unix))]
fn kind_of(file_type: FileType) -> &'static str {
    if file_type.is_dir() { "a directory" } else { "something else" }
}

fn text(bytes: Vec<u8>, kind: Kind) -> Result<SourceText, ReadError> {
    match kind {
        Kind::Notebook => notebook::read(&encoding::decode_utf8(bytes)?),
        Kind::Module => Ok(SourceText { text: encoding::decode(bytes)?.into(), kind: SourceKind::Module }),
        Kind::Stub => Ok(SourceText { text: encoding::decode(bytes)?.into(), kind: SourceKind::Stub }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_grows_past_the_limit_is_refused_and_one_at_the_limit_is_not() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), "x = 1\n").expect("written");
        assert_eq!(read_bytes(file.path(), 6).expect("read"), b"x = 1\n");
        assert!(matches!(read_bytes(file.path(), 5), Err(ReadError::TooLarge { size: 6 })));
    }

    #[test]
    fn what_is_no_file_is_named_and_not_opened() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let message = |path: &Path| read(path).expect_err("refused").to_string();
        assert_eq!(message(folder.path()), "is a directory, not a file");
        assert_eq!(message(Path::new("/dev/zero")), "is a device, not a file");
        assert_eq!(message(&folder.path().join("gone.py")), "vanished before it was read");
    }
}
