import Glibc

/// Why a server could not start. Says the address and what the system said.
public struct HTTPServerError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The kind of failure; a struct, so that a further kind breaks nobody's `switch`.
  public struct Code: Sendable, Hashable {
    private enum Value { case used, absent, denied, invalid, descriptors, other }
    private let value: Value

    /// Somebody listens there already (`EADDRINUSE`).
    public static let addressInUse = Code(value: .used)
    /// No interface of this machine has the address (`EADDRNOTAVAIL`).
    public static let addressNotAvailable = Code(value: .absent)
    /// Ports below 1024 need a privilege (`EACCES`, `EPERM`).
    public static let permissionDenied = Code(value: .denied)
    /// The host is no literal, or the port is not in 0...65535.
    public static let addressInvalid = Code(value: .invalid)
    /// Too few open files are allowed to serve anybody.
    public static let descriptorsExhausted = Code(value: .descriptors)
    /// Anything else; see `errorNumber`.
    public static let systemFailure = Code(value: .other)
  }

  /// The kind of failure.
  public let code: Code
  /// The address as it was asked for, `host:port`.
  public let address: String
  /// `errno`; 0 when no system call failed.
  public let errorNumber: Int32

  /// A failure that needed no system call to be seen.
  init(_ code: Code, address: String, errorNumber: Int32 = 0) {
    self.code = code
    self.address = address
    self.errorNumber = errorNumber
  }

  /// A failure of a system call.
  init(errorNumber: Int32, address: String) {
    let code: Code =
      switch errorNumber {
      case EADDRINUSE: .addressInUse
      case EADDRNOTAVAIL: .addressNotAvailable
      case EACCES, EPERM: .permissionDenied
      case EMFILE, ENFILE: .descriptorsExhausted
      default: .systemFailure
      }
    self.init(code, address: address, errorNumber: errorNumber)
  }

  /// `127.0.0.1:8080: Address already in use`.
  public var description: String {
    let reason =
      if errorNumber != 0, let text = strerror(errorNumber) {
        String(cString: text)
      } else if code == .addressInvalid {
        "not an address (an IPv4 or IPv6 literal or localhost, and a port up to 65535)"
      } else if code == .descriptorsExhausted {
        "the limit of open files leaves none for connections"
      } else {
        "libmicrohttpd did not start"
      }
    return "\(address): \(reason)"
  }
}
