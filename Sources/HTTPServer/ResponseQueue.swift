import CMicroHTTPD
import Glibc

/// Makes libmicrohttpd's response of ours.
enum ResponseQueue {
  /// Bodies from here on are lent to libmicrohttpd; below, a copy costs less than the loan.
  private static let lendingMin = 16 << 10

  /// Keeps a body alive while libmicrohttpd sends it.
  private final class Loan {
    let bytes: [UInt8]
    init(_ bytes: [UInt8]) { self.bytes = bytes }
  }

  /// What libmicrohttpd reads of a stream at once where the body is not chunked; else it has the
  /// connection's own memory for that, and this would be wasted.
  private static let blockBytes = 16 << 10

  /// Queues an answer on a connection whose request is complete, or refuses it before. `false`
  /// when libmicrohttpd does not take it: the connection must then be closed.
  static func put(
    _ response: HTTPResponse, on connection: Connection, allow: String?, isLast: Bool
  ) -> Bool {
    guard let made = make(response, for: connection) else { return false }
    // Before the date: libmicrohttpd 0.9.75 forgets with it that there is one, and adds its own.
    if isLast { add(made, "Connection", "close") }
    if areLinesJoined, connection.server.date.second != nil {
      addLines(of: response, connection.server.date, to: made)
    } else {
      if let type = response.contentType { add(made, "Content-Type", type) }
      for (name, value) in response.headers.list { MHD_add_response_header(made, name, value) }
    }
    if let allow { MHD_add_response_header(made, "Allow", allow) }
    add(connection.requestID, to: made)
    let isQueued =
      MHD_queue_response(connection.handle, UInt32(clamping: response.status), made) == .YES
    MHD_destroy_response(made)
    return isQueued
  }

  /// Whether an answer's headers are given to libmicrohttpd as one.
  private static let areLinesJoined = mhd_is_known() != 0

  /// Adds the date, which libmicrohttpd would write anew for each answer, and with it the type and
  /// all other headers.
  private static func addLines(
    of response: HTTPResponse, _ date: HTTPDate, to made: OpaquePointer
  ) {
    let typeRoom = (response.contentType?.utf8CodeUnitCount ?? 0) + 16
    let countMax = HTTPDate.byteCount + typeRoom + response.headers.byteCount
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: countMax + 1) { lines in
      guard let start = lines.baseAddress else { return }
      date.copy(to: start)
      let next = start + HTTPDate.byteCount
      var block = HeaderBlock(UnsafeMutableBufferPointer(start: next, count: typeRoom))
      if let type = response.contentType { block.add("Content-Type", type) }
      let rest = next + block.count
      response.headers.copyLines(to: rest)
      rest[response.headers.byteCount] = 0
      mhd_add_lines(made, "Date", UnsafePointer(start).asCString)
    }
  }

  private static func add(_ requestID: [UInt8], to made: OpaquePointer) {
    guard !requestID.isEmpty else { return }
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: requestID.count + 1) { text in
      for (index, byte) in requestID.enumerated() { text[index] = CChar(bitPattern: byte) }
      text[requestID.count] = 0
      MHD_add_response_header(made, "X-Request-Id", text.baseAddress)
    }
  }

  private static func add(_ made: OpaquePointer, _ name: StaticString, _ value: StaticString) {
    // A StaticString is NUL-terminated (its documentation), so nothing is copied here.
    let name = UnsafeRawPointer(name.utf8Start).assumingMemoryBound(to: CChar.self)
    let value = UnsafeRawPointer(value.utf8Start).assumingMemoryBound(to: CChar.self)
    MHD_add_response_header(made, name, value)
  }

  private static func make(
    _ response: HTTPResponse, for connection: Connection
  ) -> OpaquePointer? {
    if response.status == 204 || response.status == 304 {
      response.discard()
      return MHD_create_response_from_buffer(0, nil, .RESPMEM_PERSISTENT)
    }
    switch response.body {
    case .constant(let text):
      let bytes = UnsafeMutableRawPointer(mutating: text.utf8Start)
      return MHD_create_response_from_buffer(text.utf8CodeUnitCount, bytes, .RESPMEM_PERSISTENT)
    case .bytes(let bytes) where bytes.count < lendingMin:
      return bytes.withUnsafeBytes {
        let start = UnsafeMutableRawPointer(mutating: $0.baseAddress)
        return MHD_create_response_from_buffer($0.count, start, .RESPMEM_MUST_COPY)
      }
    case .bytes(let bytes):
      return lend(Loan(bytes))
    case .stream(let stream):
      return make(stream, for: connection)
    }
  }

  /// To HEAD libmicrohttpd would send the last chunk of a chunked body, so that the answer is told
  /// to end with the connection. It then asks the reader once, which says that it is over.
  private static func make(
    _ stream: ResponseStream, for connection: Connection
  ) -> OpaquePointer? {
    if connection.method == .head {
      stream.close()
      let nothing = StreamSource(bufferBytesMax: 1)
      nothing.attach(to: connection)
      nothing.finish()
      connection.stream = nothing
      let made = nothing.makeResponse(blockBytes: 1)
      if let made { mhd_end_with_connection(made) }
      return made
    }
    let source = stream.attach(to: connection)
    connection.stream = source
    return source.makeResponse(blockBytes: connection.isVersion10 ? blockBytes : 1)
  }

  /// The storage of an array does not move while the loan holds it and nobody can change it, so
  /// its address may outlive the closure. A copy instead would cost 0.1 ms for each MiB.
  private static func lend(_ loan: Loan) -> OpaquePointer? {
    let held = Unmanaged.passRetained(loan)
    let made = loan.bytes.withUnsafeBytes { bytes in
      MHD_create_response_from_buffer_with_free_callback_cls(
        bytes.count, UnsafeMutableRawPointer(mutating: bytes.baseAddress),
        { held in held.map { Unmanaged<Loan>.fromOpaque($0).release() } }, held.toOpaque())
    }
    if made == nil { held.release() }
    return made
  }
}
