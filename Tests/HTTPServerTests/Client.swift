import Glibc

/// A raw TCP client: what is sent is what the test says, byte for byte.
final class Client {
  /// One answer, as read from the bytes.
  struct Answer {
    var status: Int
    var headers: [String: String]
    var body: String
  }

  /// Nobody listens there, or the system refuses.
  struct NotConnected: Error { let errorNumber: Int32 }

  let descriptor: Int32
  private(set) var received: [UInt8] = []
  /// The server closed or reset the connection.
  private(set) var isEnded = false
  /// Whether the harness reads what comes.
  var isReading = true

  init(port: Int, receiveBytesMax: Int32? = nil) throws {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    if var size = receiveBytesMax {
      setsockopt(
        descriptor, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<Int32>.size))
    }
    var name = sockaddr_in()
    name.sin_family = sa_family_t(AF_INET)
    name.sin_port = UInt16(port).bigEndian
    name.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    let result = withUnsafePointer(to: &name) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard result == 0 else { throw NotConnected(errorNumber: errno) }
    _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
  }

  deinit { close(descriptor) }

  func send(_ text: String) { send([UInt8](text.utf8)) }

  /// Sends what the kernel takes; tests send less than a socket buffer. Says how much it took.
  @discardableResult
  func send(_ bytes: [UInt8]) -> Int {
    Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
  }

  /// Reads what is there, or some of it.
  func receive(atMost countMax: Int = .max) {
    var buffer = [UInt8](repeating: 0, count: 65_536)
    let end = countMax == .max ? .max : received.count + countMax
    while !isEnded, received.count < end {
      let count = read(descriptor, &buffer, min(buffer.count, end - received.count))
      if count > 0 {
        received += buffer[..<count]
      } else if count == 0 || errno != EAGAIN {
        isEnded = true
      } else {
        return
      }
    }
  }

  /// Leaves with a FIN, still able to read.
  func halfClose() { shutdown(descriptor, Int32(SHUT_WR)) }

  /// Makes the next close a reset (RST).
  func resetOnClose() {
    var option = linger(l_onoff: 1, l_linger: 0)
    setsockopt(
      descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
  }

  /// Closes now, whoever still holds the object.
  func leave() {
    let spare = open("/dev/null", O_RDONLY | O_CLOEXEC)
    dup2(spare, descriptor)
    close(spare)
  }

  var text: String { String(decoding: received, as: UTF8.self) }

  /// The whole answers so far. `isHead` says that no body follows.
  func answers(isHead: Bool = false) -> [Answer] {
    var answers: [Answer] = []
    var rest = received[...]
    let separator = [UInt8]("\r\n\r\n".utf8)
    while let end = rest.firstRange(of: separator) {
      let lines = String(decoding: rest[..<end.lowerBound], as: UTF8.self)
        .split(separator: "\r\n")
      let words = lines[0].split(separator: " ")
      var headers: [String: String] = [:]
      for line in lines.dropFirst() {
        guard let colon = line.firstIndex(of: ":") else { continue }
        headers[line[..<colon].lowercased()] = String(line[colon...].dropFirst(2))
      }
      let status = Int(words[1]) ?? 0
      let length = isHead ? 0 : Int(headers["content-length"] ?? "0") ?? 0
      guard rest[end.upperBound...].count >= length else { break }
      let body = rest[end.upperBound...].prefix(length)
      answers.append(
        Answer(
          status: status, headers: headers, body: String(decoding: body, as: UTF8.self)))
      rest = rest[end.upperBound...].dropFirst(length)
    }
    return answers
  }
}
