import Glibc

/// What went wrong on the way to a page.
struct FetchError: Error, CustomStringConvertible {
  let description: String

  /// With the system's reason.
  init(_ what: String) {
    description = "\(what): \(String(cString: strerror(errno)))"
  }
}

/// 127.0.0.1 and a port.
func loopback(port: UInt16) -> sockaddr_in {
  var address = sockaddr_in()
  address.sin_family = sa_family_t(AF_INET)
  address.sin_port = port.bigEndian
  address.sin_addr.s_addr = INADDR_LOOPBACK.bigEndian
  return address
}

/// What the server at a port of this machine answers: its head and the page.
func get(_ path: String, port: UInt16) throws -> (head: Substring, page: Substring) {
  let connection = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
  defer { close(connection) }
  var address = loopback(port: port)
  let isConnected = withUnsafePointer(to: &address) { address in
    address.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
      connect(connection, address, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
    }
  }
  guard isConnected else { throw FetchError("cannot connect to port \(port)") }
  writeAll(connection, "GET \(path) HTTP/1.0\r\n\r\n")
  let parts = readToEnd(connection).split(separator: "\r\n\r\n", maxSplits: 1)
  guard parts.count == 2 else { throw FetchError("no page came from \(path)") }
  return (parts[0], parts[1])
}

/// All that comes until the other side closes.
func readToEnd(_ connection: Int32) -> String {
  read(connection) { _ in false }
}

/// A request that has no body.
func readToBlankLine(_ connection: Int32) -> String {
  read(connection) { $0.suffix(4).elementsEqual("\r\n\r\n".utf8) }
}

private func read(_ connection: Int32, until isEnough: ([UInt8]) -> Bool) -> String {
  var bytes: [UInt8] = []
  var piece = [UInt8](repeating: 0, count: 4096)
  while !isEnough(bytes) {
    let count = read(connection, &piece, piece.count)
    if count <= 0 { break }
    bytes += piece[..<count]
  }
  return String(decoding: bytes, as: UTF8.self)
}

/// Writes it, unless the other side is gone.
func writeAll(_ connection: Int32, _ text: String) {
  var rest = Array(text.utf8)[...]
  while !rest.isEmpty {
    let count = rest.withUnsafeBytes {
      send(connection, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
    }
    if count <= 0 { return }
    rest = rest.dropFirst(count)
  }
}
