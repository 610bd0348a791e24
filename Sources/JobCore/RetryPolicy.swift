/// When the next attempt of a failed job is due.
public struct RetryPolicy: Equatable, Sendable {
  private let delay: Milliseconds
  private let delayMax: Milliseconds

  /// The policy that `limits` set.
  public init(_ limits: Limits) {
    delay = limits.retryDelay
    delayMax = limits.retryDelayMax
  }

  /// The wait after a failed attempt (numbered from 1): it doubles with each, up to the bound.
  public func wait(after attempt: Int) -> Milliseconds {
    let doublings = min(max(attempt - 1, 0), 40)
    let (product, overflow) = delay.multipliedReportingOverflow(by: 1 << Milliseconds(doublings))
    return overflow ? delayMax : min(product, delayMax)
  }
}
