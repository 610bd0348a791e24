/// The owner's loop, as the server needs it: it tells when a descriptor is ready.
///
/// The server's descriptors are in the loop's own epoll set, not in one that is nested in it: a
/// set between the two would be asked in every turn, which is a sixth of a short request's system
/// calls.
public protocol HTTPWatcher: AnyObject {
  /// What is to be told of a descriptor.
  typealias Ready = (_ isReset: Bool) -> Void

  /// Has `ready` called whenever the descriptor is ready, until `unwatch`; never from within a call
  /// of the server, and never for another descriptor that has the number now. `isReset` tells that
  /// it hung up or failed. False when there is no room or memory for the watch.
  func watch(_ descriptor: Int32, for interest: HTTPInterest, ready: @escaping Ready) -> Bool

  /// Replaces what a watched descriptor is watched for.
  func setInterest(_ interest: HTTPInterest, of descriptor: Int32)

  /// Ends the watch; the descriptor is open still.
  func unwatch(_ descriptor: Int32)
}

/// What is waited for at a descriptor. A reset, or a failure, is told in any case.
public enum HTTPInterest: Sendable {
  /// There is something to read, or somebody to accept.
  case readable
  /// The peer has closed its side.
  case peerClosed
  /// Nothing but a reset.
  case reset
}
