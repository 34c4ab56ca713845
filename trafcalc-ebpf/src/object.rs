//! What every object needs.

/// The verifier proves that nothing panics; the compiler wants this all the same.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

// Without it the kernel does not lend us its helpers to read memory: bpf_probe_read_kernel is for GPL programs only.
#[expect(unsafe_code, reason = "found by its section")]
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 4] = *b"GPL\0";
