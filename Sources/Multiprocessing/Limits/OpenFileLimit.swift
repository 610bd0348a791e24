import Glibc

/// A lower limit of open descriptors for *this* process, while one call runs in it. For a worker to
/// use around a call, before the function is entered and after it has returned.
///
/// The server does not do this to a worker from outside, by prlimit(2): that names a process by its
/// number, which may be another's by then; it cannot be timed to the call, as the next one may be
/// on the worker's channel already; and a process that the call starts keeps the lower limit either
/// way. A limit for all calls of a worker belongs in its `ProcessSpecification`.
///
/// It counts numbers, not descriptors: what was open before stays open and counts.
public struct OpenFileLimit: Sendable {
  private static let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)

  private let before: rlimit

  /// Lowers the soft limit (`RLIMIT_NOFILE`) to `most`, if it is higher.
  public init(lowering most: UInt64) throws(SystemCallError) {
    var limit = rlimit()
    guard getrlimit(Self.resource, &limit) == 0 else {
      throw SystemCallError("getrlimit", number: errno)
    }
    before = limit
    limit.rlim_cur = min(limit.rlim_cur, rlim_t(most))
    guard setrlimit(Self.resource, &limit) == 0 else {
      throw SystemCallError("setrlimit", number: errno)
    }
  }

  /// Sets the soft limit to what it was; or, if the call has lowered the hard limit, to that.
  public func restore() {
    var now = rlimit()
    guard getrlimit(Self.resource, &now) == 0 else { return }
    now.rlim_cur = min(before.rlim_cur, now.rlim_max)
    setrlimit(Self.resource, &now)  // Allowed to everyone: it is not above the hard limit.
  }
}
