"""What an app's side of HTTP/1, HTTP/2 and WebSocket looks like on the wire."""

import struct
import zlib

import h2.config
import h2.connection
from hpack import Encoder
from hyperframe import frame as frames

from . import encode


def get(target: str, headers: dict[str, str] | None = None, host: str = "collector.example") -> bytes:
    lines = [f"GET {target} HTTP/1.1", f"Host: {host}", "Accept: */*"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def post(
    body: bytes | str,
    headers: dict[str, str] | str | None = None,
    target: str = "/v2/events",
    host: str = "collector.example",
) -> bytes:
    """A request with a known length; `headers` as one text is a media type."""
    if isinstance(headers, str):
        headers = {"Content-Type": headers}
    body = body.encode() if isinstance(body, str) else body
    lines = [f"POST {target} HTTP/1.1", f"Host: {host}", "User-Agent: okhttp/4.9.3"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    lines += [f"Content-Length: {len(body)}"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def chunked(
    body: bytes | str, sizes: list[int], headers: dict[str, str] | None = None, trailers: str = "", extension: str = ""
) -> bytes:
    """A request in chunks of `sizes`, over and over."""
    body = body.encode() if isinstance(body, str) else body
    lines = ["POST /v2/upload HTTP/1.1", "Host: collector.example", "Transfer-Encoding: chunked"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    out = ("\r\n".join(lines) + "\r\n\r\n").encode()
    at = turn = 0
    while at < len(body):
        chunk = body[at : at + sizes[turn % len(sizes)]]
        out += f"{len(chunk):x}{extension}\r\n".encode() + chunk + b"\r\n"
        at, turn = at + len(chunk), turn + 1
    return out + f"0\r\n{trailers}\r\n".encode()


def http2(
    requests: list[tuple[list[tuple[str, str]], bytes]], frame_size: int = 16_384, interleaved: bool = False
) -> bytes:
    """A connection with prior knowledge, one stream a request, by the h2 package."""
    connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
    connection.initiate_connection()
    streams = []
    for headers, body in requests:
        stream = connection.get_next_available_stream_id()
        pseudo = [(":method", "POST" if body else "GET"), (":scheme", "http"), (":authority", "collector.example")]
        if not any(name == ":path" for name, _ in headers):
            pseudo.append((":path", "/v2/events"))
        connection.send_headers(stream, pseudo + headers, end_stream=not body)
        parts = [body[at : at + frame_size] for at in range(0, len(body), frame_size)]
        streams.append((stream, parts))
        if not interleaved:
            send(connection, [streams.pop()])
    send(connection, streams)
    return connection.data_to_send()


def send(connection, streams) -> None:
    """DATA frames of several streams in turn."""
    for turn in range(max((len(parts) for _, parts in streams), default=0)):
        for stream, parts in streams:
            if turn < len(parts):
                connection.send_data(stream, parts[turn], end_stream=turn + 1 == len(parts))


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def http2_frames(
    headers: list[tuple[str, str]],
    body: bytes,
    split_headers: int = 0,
    pad: int = 0,
    huffman: bool = True,
    priority: bool = False,
) -> bytes:
    """A connection frame by frame, by hyperframe and hpack: CONTINUATION every `split_headers` bytes, padding, priority."""
    block = Encoder().encode(headers, huffman=huffman)
    pieces = (
        [block[at : at + split_headers] for at in range(0, len(block), split_headers)] if split_headers else [block]
    )
    head = frames.HeadersFrame(1, pieces[0])
    sequence = [frames.SettingsFrame(0, settings={3: 100}), head]
    if priority:
        head.flags.add("PRIORITY")
        head.depends_on, head.stream_weight, head.exclusive = 0, 15, False
    if pad:
        head.flags.add("PADDED")
        head.pad_length = pad
    for piece in pieces[1:]:
        sequence.append(frames.ContinuationFrame(1, piece))
    sequence[-1].flags.add("END_HEADERS")
    if body:
        data = frames.DataFrame(1, body)
        if pad:
            data.flags.add("PADDED")
            data.pad_length = pad
        data.flags.add("END_STREAM")
        sequence.append(data)
    else:
        head.flags.add("END_STREAM")
    return PREFACE + b"".join(frame.serialize() for frame in sequence)


def grpc(message: bytes, compressed: bool = False) -> bytes:
    """A length-prefixed gRPC message."""
    data = encode.gzipped(message) if compressed else message
    return struct.pack(">BI", compressed, len(data)) + data


def upgrade(target: str = "/socket", deflate: bool = False) -> bytes:
    headers = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
    }
    if deflate:
        headers["Sec-WebSocket-Extensions"] = "permessage-deflate; client_max_window_bits"
    return get(target, headers)


def websocket(
    payload: bytes, opcode: int = 1, mask: bytes = b"\x37\xfa\x21\x3d", final: bool = True, rsv1: bool = False
) -> bytes:
    """A masked frame (RFC 6455, section 5.2)."""
    head = bytes([final << 7 | rsv1 << 6 | opcode])
    if len(payload) < 126:
        head += bytes([0x80 | len(payload)])
    elif len(payload) < 1 << 16:
        head += bytes([0x80 | 126]) + struct.pack(">H", len(payload))
    else:
        head += bytes([0x80 | 127]) + struct.pack(">Q", len(payload))
    return head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


def websocket_deflated(payloads: list[bytes]) -> bytes:
    """Messages of RFC 7692 in one compression context, the sync mark taken off each."""
    encode.uses.add("zlib")
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    out = b""
    for at, payload in enumerate(payloads):
        data = squeeze.compress(payload) + squeeze.flush(zlib.Z_SYNC_FLUSH)
        out += websocket(data.removesuffix(b"\0\0\xff\xff"), mask=bytes([at + 1, 0x5A, 0xC3, 0x99]), rsv1=True)
    return out
