/// A body that is produced over time: `HTTPResponse.Body.stream`.
///
/// The producer holds it and writes; what it writes is buffered until the client's socket takes it.
/// Over HTTP/1.1 the body is chunked, over HTTP/1.0 it ends with the connection; to HEAD, and with
/// 204 and 304, no body is sent and the stream is closed at once. A stream belongs to one answer.
///
/// A client may read as slowly as it likes, as long as it reads: when its side takes no byte for
/// `HTTPServerSettings.writeTimeout`, the connection is cut. One that leaves while nothing is
/// written is noticed `watchDelay` after the last write. A FIN counts as leaving, although a client
/// that only closed its sending side (`nc -N`) would have read on: TCP does not tell the two apart.
///
/// All calls are made on the server's thread. The closures are called there too: from within
/// `HTTPServer.run(at:)`, `stop()` or `PendingResponse.resume(with:)`. They may call any method of
/// this stream and of others. A stream may outlive its connection and its server. When the last
/// reference goes before `finish()`, the client's stream is cut as by `fail()`.
///
/// An idle stream costs its connection (see `HTTPServerSettings`), this object, and no turn.
public final class ResponseStream {
  /// What a connection reads of it.
  let source: StreamSource

  /// A stream that is `full` from `bufferBytesMax` buffered bytes on, which is to be more than 0.
  public init(bufferBytesMax: Int = 64 << 10) {
    precondition(bufferBytesMax > 0, "a buffer that is always full is never written to")
    source = StreamSource(bufferBytesMax: bufferBytesMax)
  }

  deinit { source.fail() }

  /// Called once after each `write` that answered `false`, when half of the buffer is free again.
  public var onWritable: (() -> Void)? {
    get { source.onWritable }
    set { source.onWritable = newValue }
  }

  /// Called at most once, when nothing will be read any more although neither `finish()` nor
  /// `fail()` was called: the client left or stopped reading, the request was HEAD, the server
  /// stops. Set it before the answer is given.
  public var onClosed: (() -> Void)? {
    get { source.onClosed }
    set { source.onClosed = newValue }
  }

  /// Bytes that were written and that the connection has not taken yet. What the kernel holds for
  /// the client (`HTTPServerSettings.unsentBytesMax`) is not counted.
  public var bufferedCount: Int { source.bufferedCount }

  /// Neither finished nor failed nor closed: what is written may still be read.
  public var isOpen: Bool { source.state == .open }

  /// Appends to the buffer, all of it. `false`: the buffer is full; write again when `onWritable`
  /// is called. Of no effect and `false` once the stream is not open.
  @discardableResult
  public func write(_ bytes: [UInt8]) -> Bool {
    bytes.withUnsafeBytes { source.write($0) }
  }

  /// As above, for bytes that are valid during the call only.
  @discardableResult
  public func write(_ bytes: UnsafeRawBufferPointer) -> Bool {
    source.write(bytes)
  }

  /// What is buffered still goes out, then the end: the client sees a whole body.
  public func finish() { source.finish() }

  /// What is buffered still goes out, then the connection is cut: over HTTP/1.1 the client sees
  /// that the body is not whole (RFC 9112, section 8).
  public func fail() { source.fail() }

  /// Nobody will read it: its answer is not sent.
  func close() { source.close() }

  /// The part that the connection holds; for one answer only.
  func attach(to connection: Connection) -> StreamSource {
    source.attach(to: connection)
    return source
  }
}
