/// What the configuration says of every call of a task, whatever the submission says.
public struct TaskRule: Equatable, Sendable {
  /// The longest that an attempt may run, in milliseconds; a job's own `timeout` can only be
  /// shorter. Nil: no bound but the job's.
  public var timeout: Milliseconds?
  /// Whether a call has its worker to itself: none waits behind it. Needed where what the worker
  /// uses is charged to the call.
  public var isExclusive: Bool

  /// Makes a rule.
  public init(timeout: Milliseconds? = nil, isExclusive: Bool = false) {
    self.timeout = timeout
    self.isExclusive = isExclusive
  }
}
