import Glibc

/// A small HTTP server of pages that link to one another. Each answer takes a while, as it does
/// from far away.
struct PageServer {
  static let pages = 16
  /// In microseconds.
  static let delay: UInt32 = 100_000

  /// Listens at `port`.
  let listener: Int32
  /// On the loopback address; the system chose it.
  let port: UInt16

  init() throws {
    listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = loopback(port: 0)
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let listener = listener
    let isListening = withUnsafeMutablePointer(to: &address) { address in
      address.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
        bind(listener, address, size) == 0 && listen(listener, 64) == 0
          && getsockname(listener, address, &size) == 0
      }
    }
    guard isListening else { throw FetchError("the server cannot listen") }
    port = UInt16(bigEndian: address.sin_port)
  }

  /// Answers one request after the other, for ever.
  func serve() {
    while true {
      let connection = accept(listener, nil, nil)
      guard connection >= 0 else { continue }
      let request = readToBlankLine(connection)
      usleep(Self.delay)
      let number = request.split(separator: " ").dropFirst().first.flatMap { Int($0.dropFirst()) }
      let page = number.flatMap { 0..<Self.pages ~= $0 ? Self.page($0) : nil }
      let status = page == nil ? "404 Not Found" : "200 OK"
      writeAll(connection, "HTTP/1.0 \(status)\r\nContent-Type: text/html\r\n\r\n\(page ?? "")")
      close(connection)
    }
  }

  private static func page(_ number: Int) -> String {
    let subjects = ["Bridges", "Rivers", "Mountains", "Harbours"]
    let subject = subjects[number % subjects.count]
    let sentence = "<p>There is much to be said about \(subject.lowercased()).</p>\n"
    let links = (1...3).map { (number * $0 + 1) % pages }
    return """
      <html><head><title>\(subject), part \(number)</title></head><body>
      \(String(repeating: sentence, count: number + 1))\
      \(links.map { "<a href=\"/\($0)\">next</a>\n" }.joined())</body></html>
      """
  }
}
