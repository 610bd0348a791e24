/// What a descriptor is ready for. The bits are the kernel's own, as for `Interest`.
public struct Readiness: OptionSet, Sendable, Hashable {
  /// The kernel's bits.
  public let rawValue: UInt32

  /// Any bits, the kernel's.
  public init(rawValue: UInt32) {
    self.rawValue = rawValue
  }

  /// A read answers at once: with bytes, an end of file or an error.
  public static let readable = Readiness(rawValue: 0x001)
  /// A write answers at once.
  public static let writable = Readiness(rawValue: 0x004)
  /// Something is wrong with the descriptor (`EPOLLERR`), such as a pipe without readers.
  /// Reported whatever the interest.
  public static let failed = Readiness(rawValue: 0x008)
  /// Both directions are closed, or the last writer of a pipe is gone (`EPOLLHUP`). There may
  /// still be bytes to read. Reported whatever the interest.
  public static let hungUp = Readiness(rawValue: 0x010)
  /// The peer closed its writing half (`EPOLLRDHUP`).
  public static let peerClosed = Readiness(rawValue: 0x2000)

  /// What is left of it for somebody whose interest is now `interest`: what was asked for, and
  /// what is reported unasked.
  func limited(to interest: Interest) -> Readiness {
    intersection(Readiness(rawValue: interest.rawValue).union([.failed, .hungUp]))
  }
}
