//! Classes: the body runs where it stands; its names are class attributes.

use ruff_python_ast as ast;

use super::{Builder, promise};
use crate::facts::{Class, ClassIx, ScopeKind, Term, TermId, contract};

impl Builder {
    pub(super) fn class_def(&mut self, def: &ast::StmtClassDef) {
        let decorators: Vec<TermId> =
            def.decorator_list.iter().map(|decorator| self.expr(&decorator.expression)).collect();
        let (mut bases, mut metaclass) = (Vec::new(), TermId::OPAQUE);
        if let Some(arguments) = def.arguments.as_deref() {
            for base in &arguments.args {
                let base = self.expr(base);
                bases.push(base);
            }
            for keyword in &arguments.keywords {
                let value = self.expr(&keyword.value);
                if keyword.arg.as_ref().is_some_and(|name| name.id == "metaclass") {
                    metaclass = value;
                }
            }
        }
        let name = self.sym(&def.name.id);
        let class = ClassIx::at(self.classes.len());
        let scope = self.scopes.open(ScopeKind::Class(class), self.scope);
        let owner = self.current_function();
        self.add_class(Class {
            name,
            name_range: def.name.range,
            range: def.range,
            scope,
            bases,
            metaclass,
            decorators,
            methods: Vec::new(),
            owner,
            thread_safety: promise::of_class(&def.body, def.name.as_str()),
            is_once: contract::is_once(&def.body),
            is_stand_in: contract::is_stand_in(&def.body),
        });
        let value = self.term(Term::Class(class));
        self.bind(&def.name.id, def.name.range, value);
        let outer = self.scope;
        self.scope = scope;
        self.block(&def.body);
        self.scope = outer;
    }
}
