//! Rendering of hand-built reports.
