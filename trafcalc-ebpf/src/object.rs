//! What every object needs.

/// The verifier proves that nothing panics, but the compiler requires this.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

// The kernel offers bpf_probe_read_kernel to GPL programs only.
#[expect(unsafe_code, reason = "found by its section")]
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 4] = *b"GPL\0";
