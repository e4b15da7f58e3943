//! Functions and lambdas: parameters, decorators, a frame of their own.

use ruff_python_ast::{self as ast, Expr};
use ruff_text_size::{Ranged, TextRange};

use super::Builder;
use crate::facts::{
    CtxIx, CtxKind, EventKind, FuncIx, Function, FunctionFlags, Param, ParamKind, ScopeKind, Sym, Term, TermId,
    ThreadSafety, contract, promise,
};

impl Builder {
    pub(super) fn function_def(&mut self, def: &ast::StmtFunctionDef) {
        let decorators: Vec<TermId> =
            def.decorator_list.iter().map(|decorator| self.expr(&decorator.expression)).collect();
        let defaults = self.defaults(&def.parameters);
        let name = self.sym(&def.name.id);
        let mut flags = Self::flags_from(&def.decorator_list);
        flags.is_async = def.is_async;
        flags.is_private = def.name.id.starts_with('_') && !def.name.id.ends_with("__");
        flags.is_deprecated |= contract::is_deprecated(&def.body);
        flags.is_under_lock = contract::is_called_under_lock(&def.body);
        flags.is_once = contract::is_once(&def.body);
        flags.is_for_tests = contract::is_for_tests(&def.name.id, &def.body);
        flags.is_not_thread_safe = promise::thread_safety(&def.body, &def.name.id) == ThreadSafety::Denied;
        let is_method = matches!(self.scopes.kind(self.scope), ScopeKind::Class(_));
        flags.is_classmethod |=
            is_method && matches!(def.name.id.as_str(), "__new__" | "__init_subclass__" | "__class_getitem__");
        let returns =
            def.returns.as_deref().map_or(TermId::OPAQUE, |returns| self.quietly(|builder| builder.expr(returns)));
        let function = self.open_function(name, def.name.range, def.range, flags);
        self.functions[function.index()].decorators = decorators;
        self.functions[function.index()].returns = returns;
        let value = self.term(Term::Function(function));
        let var = self.bind_sym(name, def.name.range, value);
        self.functions[function.index()].var = Some(var);
        self.body_of(function, &def.parameters, &defaults, |builder| {
            builder.block(&def.body);
        });
    }

    pub(super) fn lambda(&mut self, lambda: &ast::ExprLambda) -> TermId {
        let name = self.sym("<lambda>");
        let flags = FunctionFlags { is_lambda: true, ..FunctionFlags::default() };
        let header = TextRange::at(lambda.range.start(), ruff_text_size::TextSize::of("lambda"));
        let empty = ast::Parameters::default();
        let parameters = lambda.parameters.as_deref().unwrap_or(&empty);
        let defaults = self.defaults(parameters);
        let function = self.open_function(name, header, lambda.range, flags);
        self.body_of(function, parameters, &defaults, |builder| {
            let value = builder.expr(&lambda.body);
            builder.emit(EventKind::Return(value), lambda.body.range());
        });
        self.term(Term::Function(function))
    }

    fn open_function(&mut self, name: Sym, name_range: TextRange, range: TextRange, flags: FunctionFlags) -> FuncIx {
        let function = FuncIx::at(self.functions.len());
        let class = match self.scopes.kind(self.scope) {
            ScopeKind::Class(class) if !flags.is_lambda => Some(class),
            _ => None,
        };
        let scope = self.scopes.open(ScopeKind::Function(function), self.scope);
        if let Some(class) = class {
            self.classes[class.index()].methods.push(function);
        }
        self.functions.push(Function {
            name,
            name_range,
            range,
            scope,
            parent: Some(self.current_function()),
            class,
            flags,
            params: Vec::new(),
            decorators: Vec::new(),
            events: 0..0,
            returns: TermId::OPAQUE,
            body: CtxIx(0),
            var: None,
        });
        function
    }

    /// Walks what a function does when it is called.
    fn body_of(
        &mut self,
        function: FuncIx,
        parameters: &ast::Parameters,
        defaults: &[TermId],
        walk: impl FnOnce(&mut Self),
    ) {
        let range = self.functions[function.index()].range;
        let (scope, ctx, mode) = (self.scope, self.ctx, self.mode);
        self.scope = self.functions[function.index()].scope;
        self.mode = super::Mode::Live;
        self.open_frame(function);
        self.ctx = self.push_ctx(CtxKind::Body(function), range);
        self.functions[function.index()].body = self.ctx;
        self.bind_params(function, parameters, defaults);
        walk(self);
        self.finish_frame();
        (self.scope, self.ctx, self.mode) = (scope, ctx, mode);
    }

    /// The defaults of all parameters in order, evaluated where the function is defined.
    fn defaults(&mut self, parameters: &ast::Parameters) -> Vec<TermId> {
        let with_default = parameters.iter_non_variadic_params();
        with_default
            .map(|param| param.default.as_deref().map_or(TermId::OPAQUE, |default| self.expr(default)))
            .collect()
    }

    fn bind_params(&mut self, function: FuncIx, parameters: &ast::Parameters, defaults: &[TermId]) {
        let positional = parameters.posonlyargs.len() + parameters.args.len();
        let plain = parameters.iter_non_variadic_params().zip(defaults).enumerate();
        for (position, (param, &default)) in plain {
            let kind = if position < positional { ParamKind::Positional } else { ParamKind::Keyword };
            self.bind_param(function, &param.parameter, kind, default);
        }
        for (param, kind) in [(&parameters.vararg, ParamKind::Args), (&parameters.kwarg, ParamKind::Kwargs)] {
            if let Some(param) = param {
                self.bind_param(function, param, kind, TermId::OPAQUE);
            }
        }
    }

    fn bind_param(&mut self, function: FuncIx, param: &ast::Parameter, kind: ParamKind, default: TermId) {
        let position = self.functions[function.index()].params.len() as u16;
        let value = self.term(Term::Param(function, position));
        let name = self.sym(&param.name.id);
        let var = self.bind_sym(name, param.name.range, value);
        let annotation = param
            .annotation
            .as_deref()
            .map_or(TermId::OPAQUE, |annotation| self.quietly(|builder| builder.expr(annotation)));
        let variable = self.scopes.var_mut(var);
        variable.annotation = annotation;
        if !default.is_opaque() {
            variable.values.push(default);
        }
        self.functions[function.index()].params.push(Param { name, var, kind, default });
    }

    fn flags_from(decorators: &[ast::Decorator]) -> FunctionFlags {
        let mut flags = FunctionFlags::default();
        for decorator in decorators {
            let expr = match &decorator.expression {
                Expr::Call(call) => &*call.func,
                other => other,
            };
            let name = match expr {
                Expr::Name(name) => name.id.as_str(),
                Expr::Attribute(attribute) => attribute.attr.id.as_str(),
                _ => continue,
            };
            match name {
                "staticmethod" => flags.is_static = true,
                "classmethod" => flags.is_classmethod = true,
                "property" | "cached_property" | "setter" | "getter" | "deleter" => flags.is_property = true,
                name => flags.is_deprecated |= name.contains("deprecated"),
            }
        }
        flags
    }
}
