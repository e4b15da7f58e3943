//! `aether-lint` with the rules of this house.

mod thread_function_name;

fn main() -> std::process::ExitCode {
    aether_lint::main()
}
