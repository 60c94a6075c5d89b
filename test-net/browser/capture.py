"""Notes who speaks to whom on one network interface: every pair of endpoints, how much went between them, how it began.

usage: python3 capture.py INTERFACE

Says "ready" when it listens. For each line it reads it writes one line of JSON: {"flows": [...], "lost": packets it had no time for}.
A flow is {"protocol", "from", "fromPort", "to", "toPort", "packets", "bytes", "first": payload of a first UDP packet in hex}. Needs to
be root in the network it looks at. Ends with its input.
"""

import json
import select
import socket
import struct
import sys

ETH_P_ALL, ETH_P_IP, ETH_P_ARP = 3, 0x0800, 0x0806
# Of Linux: python names none of these.
SOL_PACKET, PACKET_STATISTICS, SO_RCVBUFFORCE = 263, 6, 33
PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp"}
BUFFER = 64 << 20
HEAD = 256


def endpoints(kind, packet):
    """(protocol, from, port, to, port) of a packet behind its Ethernet header, and its payload if it is UDP."""
    if kind == ETH_P_ARP:
        return ("arp", socket.inet_ntoa(packet[14:18]), 0, socket.inet_ntoa(packet[24:28]), 0), b""
    if kind != ETH_P_IP:
        # Nothing else is expected; that it was there is told.
        return (f"{kind:#06x}", "", 0, "", 0), b""
    length = (packet[0] & 15) * 4
    protocol = PROTOCOLS.get(packet[9], str(packet[9]))
    source, target = socket.inet_ntoa(packet[12:16]), socket.inet_ntoa(packet[16:20])
    is_first_fragment = struct.unpack("!H", packet[6:8])[0] & 0x1FFF == 0
    ports = struct.unpack("!HH", packet[length : length + 4]) if protocol in ("tcp", "udp") and is_first_fragment else (0, 0)
    payload = packet[length + 8 :] if protocol == "udp" else b""
    return (protocol, source, ports[0], target, ports[1]), payload


def main():
    link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    try:
        link.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
    except PermissionError:
        # Root of these namespaces alone: the system's own limit holds.
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
    link.bind((sys.argv[1], 0))
    # What had arrived from other interfaces before it was bound to this one.
    link.setblocking(False)
    try:
        while True:
            link.recv(1)
    except BlockingIOError:
        pass
    link.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8)
    print("ready", flush=True)
    flows, lost = {}, 0
    while True:
        readable, _, _ = select.select([link, sys.stdin], [], [])
        if link in readable:
            packet, _ = link.recvfrom(65535)
            size, packet = len(packet), packet[:HEAD]
            key, payload = endpoints(struct.unpack("!H", packet[12:14])[0], packet[14:])
            flow = flows.setdefault(key, {"packets": 0, "bytes": 0, "first": payload.hex()})
            flow["packets"] += 1
            flow["bytes"] += size
        elif sys.stdin.readline():
            lost += struct.unpack("II", link.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))[1]
            named = [dict(zip(("protocol", "from", "fromPort", "to", "toPort"), key), **flow) for key, flow in flows.items()]
            print(json.dumps({"flows": named, "lost": lost}), flush=True)
        else:
            return


if __name__ == "__main__":
    main()
