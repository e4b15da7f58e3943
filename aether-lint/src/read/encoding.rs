//! Bytes to text as Python does it: UTF-8, a byte-order mark, or the encoding a PEP 263 comment declares.
//!
//! *Invariant:* no byte is replaced in silence: a text is either what Python would read, or an error.

use encoding_rs::Encoding;
use thiserror::Error;

/// Why bytes are no text.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum EncodingError {
    /// Neither valid nor declared to be something else.
    #[error("is not UTF-8: byte 0x{byte:02X} on line {line}, at offset {offset}")]
    NotUtf8 { byte: u8, line: usize, offset: usize },
    /// The declared encoding does not know these bytes.
    #[error("declares the encoding `{name}`, and is not in it")]
    NotAsDeclared { name: String },
    /// Nobody knows the declared encoding.
    #[error("declares the unknown encoding `{name}`")]
    Unknown { name: String },
    /// The mark says UTF-8, the comment something else.
    #[error("has a UTF-8 byte-order mark, yet declares the encoding `{name}`")]
    Contradiction { name: String },
    /// Python does not read it either.
    #[error("is in {name}, which Python does not read")]
    Wide { name: &'static str },
}

impl EncodingError {
    /// What to do about it.
    pub(super) fn help(&self) -> Option<&'static str> {
        match self {
            Self::NotUtf8 { .. } => Some("save it as UTF-8, or declare its encoding: `# -*- coding: latin-1 -*-`"),
            Self::Unknown { .. } => Some("save it as UTF-8 and remove the declaration"),
            Self::Contradiction { .. } => Some("remove the declaration: Python refuses the file"),
            Self::Wide { .. } => Some("save it as UTF-8"),
            Self::NotAsDeclared { .. } => None,
        }
    }
}

/// The text of a Python file.
pub(super) fn decode(bytes: Vec<u8>) -> Result<String, EncodingError> {
    let declared = declared_encoding(&bytes);
    match declared {
        None => decode_utf8(bytes),
        Some(name) if is_utf8(&name) => decode_utf8(bytes),
        Some(name) if bytes.starts_with(UTF8_MARK) => Err(EncodingError::Contradiction { name }),
        Some(name) => decode_as(&bytes, name),
    }
}

const UTF8_MARK: &[u8] = b"\xEF\xBB\xBF";

/// UTF-8, with or without a byte-order mark.
pub(super) fn decode_utf8(mut bytes: Vec<u8>) -> Result<String, EncodingError> {
    if bytes.starts_with(UTF8_MARK) {
        bytes.drain(..UTF8_MARK.len());
    }
    String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        let bytes = error.as_bytes();
        match bytes {
            [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => EncodingError::Wide { name: "UTF-16" },
            _ => {
                let line = bytes[..offset].split(|byte| *byte == b'\n').count();
                EncodingError::NotUtf8 { byte: bytes[offset], line, offset }
            }
        }
    })
}

fn decode_as(bytes: &[u8], name: String) -> Result<String, EncodingError> {
    if is_latin1(&name) {
        // Not WHATWG's "latin1", which is Windows-1252: in Python every byte is the character of its number.
        return Ok(bytes.iter().copied().map(char::from).collect());
    }
    if matches!(normalized(&name).as_str(), "ascii" | "us-ascii" | "646") {
        let text = std::str::from_utf8(bytes).ok().filter(|text| text.is_ascii());
        return text.map(str::to_owned).ok_or(EncodingError::NotAsDeclared { name });
    }
    let Some(encoding) = known_encoding(&name) else {
        return Err(EncodingError::Unknown { name });
    };
    match encoding.decode_without_bom_handling_and_without_replacement(bytes) {
        Some(text) => Ok(text.into_owned()),
        None => Err(EncodingError::NotAsDeclared { name }),
    }
}

/// The encoding under the name Python knows it by.
fn known_encoding(name: &str) -> Option<&'static Encoding> {
    let name = normalized(name);
    let label = match name.as_str() {
        "cp932" | "ms932" | "mskanji" | "sjis" | "shiftjis" => "shift_jis",
        "eucjp" | "ujis" => "euc-jp",
        "euckr" | "cp949" | "ms949" | "uhc" => "euc-kr",
        "cp936" | "ms936" | "gb18030-2000" => "gb18030",
        "cp950" | "ms950" | "big5-tw" => "big5",
        "cp874" => "windows-874",
        "mac-roman" | "macroman" => "macintosh",
        "mac-cyrillic" | "maccyrillic" => "x-mac-cyrillic",
        "latin2" | "l2" => "iso-8859-2",
        other => other,
    };
    let encoding = Encoding::for_label(label.as_bytes())
        .or_else(|| Encoding::for_label(label.strip_prefix("iso")?.trim_start_matches('-').as_bytes()))?;
    // Wide encodings cannot carry an ASCII declaration, and what WHATWG replaces is no encoding.
    encoding.is_ascii_compatible().then_some(encoding)
}

fn normalized(name: &str) -> String {
    name.to_ascii_lowercase().replace('_', "-")
}

fn is_utf8(name: &str) -> bool {
    let name = normalized(name);
    name == "utf-8" || name == "utf8" || name == "u8" || name.starts_with("utf-8-")
}

fn is_latin1(name: &str) -> bool {
    let name = normalized(name);
    let prefixed = |base: &str| name.strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
    ["latin-1", "iso-8859-1", "iso-latin-1"].into_iter().any(prefixed)
        || matches!(name.as_str(), "latin1" | "latin" | "l1" | "iso8859-1" | "8859" | "cp819")
}

/// The encoding named by a PEP 263 comment on the first two lines.
fn declared_encoding(bytes: &[u8]) -> Option<String> {
    let bytes = bytes.strip_prefix(UTF8_MARK).unwrap_or(bytes);
    let mut lines = bytes.split(|byte| matches!(byte, b'\n' | b'\r')).map(<[u8]>::trim_ascii_start);
    let first = lines.next()?;
    if let Some(name) = declaration(first) {
        return Some(name);
    }
    // CR LF splits into two: an empty piece between them is not a line.
    let second = lines.next()?;
    let second = if second.is_empty() && bytes.get(first_line_end(bytes)..)?.starts_with(b"\r\n") {
        lines.next()?
    } else {
        second
    };
    if first.is_empty() || first.starts_with(b"#") { declaration(second) } else { None }
}

fn first_line_end(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(bytes.len())
}

/// `coding[:=]\s*([-_.a-zA-Z0-9]+)` in a comment.
fn declaration(line: &[u8]) -> Option<String> {
    let comment = line.strip_prefix(b"#")?;
    let mut rest = comment;
    while let Some(at) = rest.windows(6).position(|window| window == b"coding") {
        rest = &rest[at + 6..];
        let Some(value) = rest.strip_prefix(b":").or_else(|| rest.strip_prefix(b"=")) else { continue };
        let value = value.trim_ascii_start();
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
        let name: String = value.iter().copied().take_while(is_name).map(char::from).collect();
        if !name.is_empty() {
            return Some(name);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> Result<String, EncodingError> {
        decode(bytes.to_vec())
    }

    #[test]
    fn declarations_are_found_where_python_finds_them() {
        let declared = |text: &str| declared_encoding(text.as_bytes());
        assert_eq!(declared("# -*- coding: latin-1 -*-\n"), Some("latin-1".to_owned()));
        assert_eq!(declared("#!/usr/bin/python\r\n# vim: set fileencoding=cp1252 :\r\n"), Some("cp1252".to_owned()));
        assert_eq!(declared("\r# coding=koi8-r\r"), Some("koi8-r".to_owned()));
        assert_eq!(declared("\x0c \t# encoding: big5"), Some("big5".to_owned()));
        assert_eq!(declared("\r\n\r\n# coding: late"), None);
        assert_eq!(declared("x = 1\n# coding: after-code\n"), None);
        assert_eq!(declared("'# coding: in-a-string'\n"), None);
        assert_eq!(declared("# coding without a value\n"), None);
        assert_eq!(declared(""), None);
    }

    #[test]
    fn texts_are_what_python_reads() {
        assert_eq!(text(b"\xEF\xBB\xBFx = '\xC3\xA9'\r\n").as_deref(), Ok("x = 'é'\r\n"));
        assert_eq!(text(b"# coding: latin-1\n'\xE9\x80'").as_deref(), Ok("# coding: latin-1\n'é\u{80}'"));
        assert_eq!(text(b"# coding: cp1252\n'\x80'").as_deref(), Ok("# coding: cp1252\n'€'"));
        assert_eq!(text(b"# coding: iso8859-15\n'\xA4'").as_deref(), Ok("# coding: iso8859-15\n'€'"));
        assert_eq!(text(b"# coding: euc_jp\n'\xA4\xA2'").as_deref(), Ok("# coding: euc_jp\n'あ'"));
        assert_eq!(text(b"# coding: UTF_8\n'\xC3\xA9'").as_deref(), Ok("# coding: UTF_8\n'é'"));
        assert_eq!(text(b"").as_deref(), Ok(""));
    }

    #[test]
    fn texts_that_python_refuses_are_refused() {
        let unknown = EncodingError::Unknown { name: "klingon".to_owned() };
        assert_eq!(text(b"# coding: klingon\n"), Err(unknown));
        assert_eq!(text(b"a\n'\xE9'"), Err(EncodingError::NotUtf8 { byte: 0xE9, line: 2, offset: 3 }));
        assert_eq!(text(b"# coding: ascii\n'\xE9'"), Err(EncodingError::NotAsDeclared { name: "ascii".to_owned() }));
        assert!(matches!(text(b"\xEF\xBB\xBF# coding: latin-1\n"), Err(EncodingError::Contradiction { .. })));
        assert_eq!(text(b"\xFF\xFEx\0"), Err(EncodingError::Wide { name: "UTF-16" }));
        assert!(matches!(text(b"# coding: utf-16\n"), Err(EncodingError::Unknown { .. })));
    }
}
