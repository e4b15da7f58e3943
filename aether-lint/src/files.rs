//! The discovered files as the engine sees them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aether_rules::{Settings, SourceError, SourceText, Sources};

use crate::discover::{Content, FoundFile};
use crate::read;

/// The files of one run, read when the engine asks for them.
#[derive(Debug)]
pub(crate) struct Files {
    files: Vec<FoundFile>,
    /// How many were asked for.
    pub(crate) loaded: AtomicUsize,
}

impl Files {
    /// The files of a discovery.
    pub(crate) fn new(files: Vec<FoundFile>) -> Self {
        Self { files, loaded: AtomicUsize::new(0) }
    }

    /// The files, in the order in which the engine numbers them.
    pub(crate) fn all(&self) -> &[FoundFile] {
        &self.files
    }
}

impl Sources for Files {
    fn len(&self) -> usize {
        self.files.len()
    }

    fn path(&self, index: usize) -> &str {
        &self.files[index].display
    }

    fn settings(&self, index: usize) -> &Arc<Settings> {
        &self.files[index].settings
    }

    fn load(&self, index: usize) -> Result<SourceText, SourceError> {
        let file = &self.files[index];
        let text = match &file.content {
            Content::OnDisk => read::read(&file.path).map_err(SourceError::from),
            Content::Given(text) => text.clone(),
        };
        self.loaded.fetch_add(1, Ordering::Relaxed);
        text
    }
}
