//! The UDP port, bound for both families of addresses where one setting means both.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tracing::debug;

/// What the system keeps of packets that we were too busy to read, in bytes: some thousand announces.
const RECEIVE_BUFFER: usize = 1 << 20;

/// Binds the port at an address; at "any" and "this machine" also the same port of the other family, if the machine has it: names
/// such as `localhost` mean both, and a browser that asks both waits for both.
///
/// # Errors
/// When the address itself cannot be bound.
pub fn bind_udp(address: SocketAddr) -> std::io::Result<Vec<UdpSocket>> {
    let first = bind(address)?;
    let port = first.local_addr()?.port();
    let mut sockets = vec![first];
    let other = match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Some(IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
        IpAddr::V4(Ipv4Addr::LOCALHOST) => Some(IpAddr::V6(Ipv6Addr::LOCALHOST)),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        IpAddr::V6(Ipv6Addr::LOCALHOST) => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        _ => None,
    };
    if let Some(other) = other.map(|ip| SocketAddr::new(ip, port)) {
        match bind(other) {
            Ok(socket) => sockets.push(socket),
            Err(error) => debug!(%other, %error, "the UDP port has one family of addresses"),
        }
    }
    Ok(sockets)
}

fn bind(address: SocketAddr) -> std::io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        // Each family has a socket of its own.
        socket.set_only_v6(true)?;
    }
    if let Err(error) = socket.set_recv_buffer_size(RECEIVE_BUFFER) {
        debug!(%error, "the system keeps its own idea of buffers");
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    #[tokio::test]
    async fn this_machine_is_reached_by_both_families() {
        let sockets = bind_udp("127.0.0.1:0".parse().unwrap()).unwrap();
        let addresses: Vec<_> = sockets
            .iter()
            .map(|socket| socket.local_addr().unwrap())
            .collect();
        assert!(addresses.iter().all(|address| address.ip().is_loopback()));
        assert!(
            addresses
                .iter()
                .all(|address| address.port() == addresses[0].port())
        );
        let taken = bind_udp(addresses[0]).unwrap_err();
        assert_eq!(taken.kind(), std::io::ErrorKind::AddrInUse);
    }
}
