/// One operation: a method on a path template, and what is done.
public struct Route {
  /// What a request does. It runs on the server's thread and must not wait. `later` gives the
  /// response that is then owed; it is valid only during the call, and may be called once.
  public typealias Action = (
    _ request: inout HTTPRequest, _ later: () -> PendingResponse
  ) -> HTTPAnswer

  /// Asked when the headers of a request are complete: the stream that takes its body in pieces, or
  /// nil if `action` is to have it whole. Its `onEnd` takes the place of the action.
  public typealias Stream = (_ request: HTTPRequest) -> RequestStream?

  /// The method.
  public let method: HTTPMethod
  /// The path: `/v1/jobs/{id}/result`. A parameter is a whole segment, stands for one or more
  /// characters, and there are at most 4; literals win over parameters, at the first difference.
  public let template: String
  /// A short name for metrics and logs, the same for all that this operation serves.
  public let name: String
  /// What is done.
  public let action: Action
  /// Who takes bodies in pieces; nil: nobody.
  public let stream: Stream?

  /// A route; the template is checked when the router is made.
  public init(
    _ method: HTTPMethod, _ template: String, name: String, stream: Stream? = nil,
    action: @escaping Action
  ) {
    self.method = method
    self.template = template
    self.name = name
    self.action = action
    self.stream = stream
  }
}
