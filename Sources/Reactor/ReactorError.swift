import Glibc

/// A system call of this module that the system refused: the environment's fault (too few
/// descriptors, too little memory, a file that cannot be watched), never the programmer's, which
/// is a failed precondition instead.
public struct ReactorError: Error, Equatable, CustomStringConvertible {
  /// The name of the call as in section 2 of the manual, such as `epoll_ctl`.
  public let call: String
  /// The `errno` that it left.
  public let code: Int32

  /// The call, the system's words for the code, and the code.
  public var description: String {
    "\(call): \(String(cString: strerror(code))) (errno \(code))"
  }

  /// Takes `errno` as it stands: to be made right after the call that failed.
  init(call: String) {
    self.call = call
    self.code = errno
  }
}
