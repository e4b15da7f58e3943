//! Notebooks: the Python cells joined into one text, each with its number.
//!
//! *Invariant:* cell numbers count every cell of the notebook, Markdown too, as Jupyter shows them.

use aether_rules::{Cell, SourceKind, SourceText};
use ruff_notebook::{Notebook, NotebookError};

use super::ReadError;

/// Reads the JSON of a notebook. One in another language has no Python cells.
pub(super) fn read(json: &str) -> Result<SourceText, ReadError> {
    let notebook = Notebook::from_source_code(json).map_err(|error| ReadError::Notebook(reason(&error)))?;
    if !notebook.is_python_notebook() {
        return Ok(SourceText { text: "".into(), kind: SourceKind::Notebook(Vec::new()) });
    }
    let starts = notebook.index().iter();
    let cells = starts.zip(notebook.cell_offsets().content_ranges());
    let cells = cells.map(|(start, range)| Cell { number: start.cell_index().get(), range }).collect();
    Ok(SourceText { text: notebook.source_code().into(), kind: SourceKind::Notebook(cells) })
}

fn reason(error: &NotebookError) -> String {
    match error {
        NotebookError::Io(error) => error.to_string(),
        NotebookError::Json(error) | NotebookError::InvalidJson(error) => format!("the JSON is broken, {error}"),
        NotebookError::InvalidSchema(error) => format!("the JSON has another shape, {error}"),
        NotebookError::InvalidFormat(version) => format!("format {version}, only 4 is known"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_numbered_as_jupyter_shows_them() {
        let json = r##"{"cells": [
            {"cell_type": "code", "execution_count": 1, "metadata": {}, "outputs": [], "source": ["import os\n", "x = 1"]},
            {"cell_type": "markdown", "metadata": {}, "source": ["# title"]},
            {"cell_type": "code", "execution_count": 2, "metadata": {}, "outputs": [], "source": "y = 2\n"}
        ], "metadata": {}, "nbformat": 4, "nbformat_minor": 4}"##;
        let SourceText { text, kind: SourceKind::Notebook(cells) } = read(json).expect("a notebook") else {
            panic!("not a notebook");
        };
        let seen: Vec<_> = cells.iter().map(|cell| (cell.number, &text[cell.range])).collect();
        assert_eq!(seen, [(1, "import os\nx = 1"), (3, "y = 2\n")]);
    }

    #[test]
    fn a_notebook_in_another_language_is_empty_and_broken_json_is_an_error() {
        let julia =
            r#"{"cells": [], "metadata": {"language_info": {"name": "julia"}}, "nbformat": 4, "nbformat_minor": 4}"#;
        assert_eq!(read(julia).expect("a notebook").text.as_ref(), "");
        assert!(matches!(read("{"), Err(ReadError::Notebook(_))));
        assert!(matches!(read("[]"), Err(ReadError::Notebook(_))));
    }
}
