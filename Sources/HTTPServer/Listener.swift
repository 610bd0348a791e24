import CMicroHTTPD
import Glibc

/// The listening socket. We make it, not libmicrohttpd, so that a failure says what is wrong, and
/// so that the descriptor is closed on exec.
struct Listener {
  /// Bound and listening; non-blocking, close-on-exec.
  let descriptor: Int32
  /// The port in force, also when 0 was asked for.
  let port: Int

  /// Binds and listens. `SO_REUSEADDR` lets a restart take the port while old connections are in
  /// TIME_WAIT (socket(7)); a second listener still fails with `addressInUse`.
  init(host: String, port: Int, unsentBytesMax: Int) throws(HTTPServerError) {
    let address = "\(host):\(port)"
    guard (0...65_535).contains(port), var name = SocketName(host: host, port: UInt16(port)) else {
      throw HTTPServerError(.addressInvalid, address: address)
    }
    let type = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
    let descriptor = socket(Int32(name.family), type, 0)
    guard descriptor >= 0 else { throw HTTPServerError(errorNumber: errno, address: address) }
    Self.set(descriptor, SOL_SOCKET, SO_REUSEADDR, 1)
    if Int32(name.family) == AF_INET6 {
      // Both families on `::`, whatever net.ipv6.bindv6only says.
      Self.set(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY, 0)
    }
    Self.setInherited(descriptor, unsentBytesMax: unsentBytesMax)
    let isBound = name.withPointer { bind(descriptor, $0, $1) } == 0
    // The kernel lowers the backlog to net.core.somaxconn.
    guard isBound, listen(descriptor, 4_096) == 0, let bound = name.readPort(of: descriptor) else {
      let number = errno
      close(descriptor)
      throw HTTPServerError(errorNumber: number, address: address)
    }
    self.descriptor = descriptor
    self.port = bound
  }

  /// Accepts a connection as a descriptor that neither blocks nor is inherited; -1 and `errno` when
  /// there is none, or no room.
  static func accept(_ listener: Int32) -> Int32 {
    accept4(listener, nil, nil, Int32(SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue))
  }

  /// What accepted connections inherit, so that it costs them no system call (tcp(7)).
  private static func setInherited(_ descriptor: Int32, unsentBytesMax: Int) {
    let level = Int32(IPPROTO_TCP)
    set(descriptor, level, TCP_NOTSENT_LOWAT, Int32(clamping: max(1, unsentBytesMax)))
    // A client whose machine is gone sends no FIN: while it waits, or reads a stream that is
    // silent, only an unanswered probe tells. Found after 60 + 4 × 15 s.
    set(descriptor, SOL_SOCKET, SO_KEEPALIVE, 1)
    set(descriptor, level, TCP_KEEPIDLE, 60)
    set(descriptor, level, TCP_KEEPINTVL, 15)
    set(descriptor, level, TCP_KEEPCNT, 4)
  }

  private static func set(_ descriptor: Int32, _ level: Int32, _ option: Int32, _ value: Int32) {
    var value = value
    // Cannot fail for a socket of the right family; if it does, bind says what follows from it.
    _ = setsockopt(descriptor, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
  }
}

/// An address of the kernel, of either family.
private struct SocketName {
  private var storage = sockaddr_storage()
  private var length: socklen_t

  var family: sa_family_t { storage.ss_family }

  init?(host: String, port: UInt16) {
    var text = host[...]
    if text.first == "[", text.last == "]" { text = text.dropFirst().dropLast() }
    var four = sockaddr_in()
    var six = sockaddr_in6()
    if inet_pton(AF_INET, text == "localhost" ? "127.0.0.1" : String(text), &four.sin_addr) == 1 {
      four.sin_family = sa_family_t(AF_INET)
      four.sin_port = port.bigEndian
      length = socklen_t(MemoryLayout<sockaddr_in>.size)
      withUnsafeMutableBytes(of: &storage) { $0.storeBytes(of: four, as: sockaddr_in.self) }
    } else if inet_pton(AF_INET6, String(text), &six.sin6_addr) == 1 {
      six.sin6_family = sa_family_t(AF_INET6)
      six.sin6_port = port.bigEndian
      length = socklen_t(MemoryLayout<sockaddr_in6>.size)
      withUnsafeMutableBytes(of: &storage) { $0.storeBytes(of: six, as: sockaddr_in6.self) }
    } else {
      return nil
    }
  }

  mutating func withPointer<Result>(
    _ body: (UnsafeMutablePointer<sockaddr>, socklen_t) -> Result
  ) -> Result {
    let length = length
    return withUnsafeMutablePointer(to: &storage) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, length) }
    }
  }

  /// The port that the kernel gave; `sin_port` and `sin6_port` lie at the same place.
  mutating func readPort(of descriptor: Int32) -> Int? {
    let isRead = withPointer { name, length in
      var length = length
      return getsockname(descriptor, name, &length) == 0
    }
    guard isRead else { return nil }
    return withUnsafeBytes(of: storage) {
      Int(UInt16(bigEndian: $0.load(fromByteOffset: 2, as: UInt16.self)))
    }
  }
}
