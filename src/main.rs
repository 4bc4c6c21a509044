//! The `vaecert` program; everything is in the library's [`vaecert::cli`].

/// Tensors come and go by the megabyte; the system's allocator would ask the kernel for each anew.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    vaecert::cli::run()
}
