/// What the fork server tells. Of one process `started` comes first and `exited` last, or
/// `startFailed` alone.
public enum ForkServerEvent: Equatable, Sendable {
  /// The process runs its program. `sentinel` is a pidfd, readable once the process has ended; it
  /// is the fork server's and closed when `exited` is drained.
  case started(token: ProcessToken, process: Int32, sentinel: Int32)
  /// The process never ran.
  case startFailed(token: ProcessToken, failure: StartFailure)
  /// The process has ended and so has, by SIGKILL, its group.
  case exited(token: ProcessToken, status: ExitStatus, use: ResourceUse)
  /// The fork server itself is gone. Every process it had started is being killed by the kernel,
  /// and will be reported as `exited` once it is really gone; starts fail until `replace()`.
  case lost
}
