import Glibc

/// Whether a client takes what is sent to it. libmicrohttpd knows only what the kernel took from
/// it, which says nothing of the client for as long as there is room in the socket's buffer, and
/// nothing is told to us when it waits for such room; what the client's side has acknowledged does.
struct WriteProgress {
  /// How often it is looked at within one timeout.
  static let checksPerTimeout: UInt64 = 4

  /// `tcpi_bytes_acked` in the kernel's `struct tcp_info` (linux/tcp.h; Linux 4.1, RFC 4898
  /// tcpEStatsAppHCThruOctetsAcked). glibc's own declaration of the struct ends before it.
  private static let acknowledgedOffset = 120

  private var acknowledged: UInt64?
  private var lastSeenAt: UInt64

  /// The answer begins.
  init(at now: UInt64) {
    lastSeenAt = now
  }

  /// Looks again. True when no byte was acknowledged for `timeout` nanoseconds at least.
  mutating func isStalled(_ descriptor: Int32, at now: UInt64, timeout: UInt64) -> Bool {
    let found = Self.acknowledged(of: descriptor)
    // A kernel that does not tell leaves it to libmicrohttpd's own timeout.
    guard let found, found == acknowledged else {
      acknowledged = found
      lastSeenAt = now
      return false
    }
    return now - lastSeenAt >= timeout
  }

  private static func acknowledged(of descriptor: Int32) -> UInt64? {
    withUnsafeTemporaryAllocation(byteCount: acknowledgedOffset + 8, alignment: 8) { buffer in
      var count = socklen_t(buffer.count)
      guard
        getsockopt(descriptor, Int32(IPPROTO_TCP), TCP_INFO, buffer.baseAddress, &count) == 0,
        Int(count) == buffer.count
      else { return nil }
      return buffer.load(fromByteOffset: acknowledgedOffset, as: UInt64.self)
    }
  }
}
