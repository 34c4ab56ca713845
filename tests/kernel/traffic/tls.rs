//! kTLS: the kernel encrypts what is written and decrypts what is read.
//!
//! The TCP payload is the ciphertext, so that is the truth: each record has its plaintext and `OVERHEAD` bytes more.

use std::net::TcpStream;

use anyhow::{Context as _, Result};
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::{TcpTlsRx, TcpTlsTx, TcpUlp, TlsCryptoInfo};

/// Header (5), explicit nonce (8) and tag (16) of a TLS 1.2 record with AES-128-GCM (RFC 5246, RFC 5288).
pub(super) const OVERHEAD: u64 = 29;

/// Most plaintext in one record (RFC 5246, section 6.2.1).
pub(super) const RECORD: usize = 16_384;

/// Which direction of a socket.
#[derive(Clone, Copy)]
pub(super) enum Direction {
    Send,
    Receive,
}

/// Switches it on, with keys that are the same on both sides and for everybody.
pub(super) fn start(socket: &TcpStream, direction: Direction) -> Result<()> {
    let keys = TlsCryptoInfo::Aes128Gcm(libc::tls12_crypto_info_aes_gcm_128 {
        info: libc::tls_crypto_info { version: libc::TLS_1_2_VERSION, cipher_type: libc::TLS_CIPHER_AES_GCM_128 },
        iv: [1; 8],
        key: [2; 16],
        salt: [3; 4],
        rec_seq: [0; 8],
    });
    setsockopt(socket, TcpUlp::default(), b"tls").context("this kernel has no TLS")?;
    match direction {
        Direction::Send => setsockopt(socket, TcpTlsTx, &keys)?,
        Direction::Receive => setsockopt(socket, TcpTlsRx, &keys)?,
    }
    Ok(())
}
