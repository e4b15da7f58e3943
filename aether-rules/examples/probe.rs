use aether_rules::*;
use std::sync::Arc;
struct S { files: Vec<String>, settings: Arc<Settings> }
impl Sources for S {
    fn len(&self) -> usize { self.files.len() }
    fn path(&self, i: usize) -> &str { &self.files[i] }
    fn settings(&self, _: usize) -> &Arc<Settings> { &self.settings }
    fn load(&self, i: usize) -> Result<SourceText, SourceError> {
        let bytes = std::fs::read(&self.files[i]).map_err(|e| SourceError { message: e.to_string(), help: None })?;
        let text = String::from_utf8(bytes).map_err(|e| SourceError { message: e.to_string(), help: None })?;
        Ok(SourceText { text: text.into(), kind: SourceKind::Module })
    }
}
fn main() {
    let mut files = Vec::new();
    let mut settings = Settings::default();
    for a in std::env::args().skip(1) {
        if a == "--all" { settings.min_confidence = Confidence::Low; continue; }
        let mut stack = vec![std::path::PathBuf::from(a)];
        while let Some(p) = stack.pop() {
            if p.is_dir() { for e in std::fs::read_dir(p).unwrap() { stack.push(e.unwrap().path()); } }
            else if p.extension().is_some_and(|e| e == "py") { files.push(p.to_string_lossy().into_owned()); }
        }
    }
    let t = std::time::Instant::now();
    let r = analyze(&S { files, settings: Arc::new(settings) });
    let e = t.elapsed();
    for d in &r.diagnostics {
        let f = r.file(d.primary.file);
        let line = f.text[..usize::from(d.primary.range.start())].matches('\n').count() + 1;
        println!("{}:{}: {} {} {} {}", f.path, line, d.rule.code, d.level, d.confidence, d.message);
        for ev in &d.evidence {
            let f = r.file(ev.span.file);
            let line = f.text[..usize::from(ev.span.range.start())].matches('\n').count() + 1;
            println!("      {}:{}: {}", f.path, line, ev.text);
        }
        for n in &d.notes { println!("      note: {n}"); }
    }
    eprintln!("{:?} {:?}", e, r.statistics);
}
