/// What is to be reported about a descriptor. Hang-up and failure are always reported, asked for
/// or not, epoll_ctl(2).
///
/// The bits are the kernel's own (`EPOLLIN`, `EPOLLOUT`, `EPOLLRDHUP` in
/// `linux/eventpoll.h`), so that nothing is translated on the way.
public struct Interest: OptionSet, Sendable, Hashable {
  /// The kernel's bits.
  public let rawValue: UInt32

  /// Any bits, the kernel's.
  public init(rawValue: UInt32) {
    self.rawValue = rawValue
  }

  /// There are bytes to read, a connection to accept, or an end of file; for a pidfd, the end of
  /// its process.
  public static let readable = Interest(rawValue: 0x001)
  /// A write would take at least one byte.
  public static let writable = Interest(rawValue: 0x004)
  /// The peer of a stream socket closed it, or its writing half. For descriptors that must not be
  /// read yet, such as the connection of a suspended request.
  public static let peerClosed = Interest(rawValue: 0x2000)
}
