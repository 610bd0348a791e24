internal import CPlatform
import Glibc

/// A worker's end of the pipe by which its answers go.
///
/// A task can close any number and open files of its own. Written to a file, an answer would be
/// damage that nobody hears of, so each is written only if the number still names the pipe.
struct AnswerPipe {
  /// The number from which on it has the first that is free: out of the way of what tasks open,
  /// whose limit of open files counts numbers.
  private static let numberMin: Int32 = 60

  private let descriptor: Int32
  /// Which file it is.
  private let identity: (device: dev_t, inode: ino_t)?

  /// Takes over `descriptor`, under another number if there is room, for nothing that a task may
  /// start.
  init(taking descriptor: Int32) {
    let moved = fcntl(descriptor, F_DUPFD_CLOEXEC, Self.numberMin)
    if moved >= 0 { close(descriptor) }
    self.descriptor = moved >= 0 ? moved : descriptor
    _ = fcntl(self.descriptor, F_SETFD, FD_CLOEXEC)
    identity = Self.identity(of: self.descriptor)
  }

  private static func identity(of descriptor: Int32) -> (device: dev_t, inode: ino_t)? {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { return nil }
    return (status.st_dev, status.st_ino)
  }

  /// Whether the number still names the pipe.
  private var isOurs: Bool {
    guard let identity, let found = Self.identity(of: descriptor) else { return false }
    return found == identity
  }

  /// Writes everything, and waits for the server to take it. Returns false if the pipe is not there
  /// any more, and says so on standard error. Without a server, SIGPIPE ends this process, unless a
  /// task has changed that.
  func write(_ bytes: UnsafeRawBufferPointer) -> Bool {
    guard isOurs else {
      var why = "lido: a task has closed descriptor \(descriptor), by which its worker answers\n"
      why.withUTF8 { _ = Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
      return false
    }
    var sent = 0
    while sent < bytes.count {
      let rest = UnsafeRawBufferPointer(rebasing: bytes[sent...])
      let count = Glibc.write(descriptor, rest.baseAddress, rest.count)
      if count < 0 && errno == EINTR { continue }
      if count < 0 && errno == EAGAIN {
        // A task has changed it. Whatever comes of the wait, the next attempt tells.
        var room = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        _ = poll(&room, 1, -1)
        continue
      }
      guard count >= 0 else { return false }
      sent += count
    }
    return true
  }
}
