/// What a route's action returns.
public enum HTTPAnswer {
  /// The answer, to be sent at once.
  case now(HTTPResponse)
  /// The answer is owed: the action has taken a `PendingResponse` and somebody resumes it.
  case later
}
