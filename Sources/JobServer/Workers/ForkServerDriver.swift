import Multiprocessing

/// What the server itself asks of the fork server; the pools of processes ask for more. Asked for
/// once a turn and for snapshots, not for each job.
protocol ForkServerDriver: AnyObject {
  /// The process id.
  var process: Int32 { get }
  /// Readable when there is something to `drain`.
  var fileDescriptor: Int32 { get }
  /// When `timePassed(at:)` or `isLookDue(at:)` has something to say, in monotonic nanoseconds.
  var nextDeadline: UInt64? { get }

  /// Asks for a process; what becomes of it is told by `drain`.
  func startProcess(_ specification: ProcessSpecification) throws -> ProcessToken
  /// Takes what happened since the last time.
  func drain(into report: inout [ForkServerEvent])
  /// Starts another one in the place of one that was lost.
  func replace() throws(SystemCallError)
  /// Ends one that does not answer, and says so.
  func timePassed(at now: UInt64) -> Bool
  /// Whether it is to be drained although no descriptor says so.
  func isLookDue(at now: UInt64) -> Bool
}

extension ForkServer: ForkServerDriver {}
