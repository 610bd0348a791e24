import Glibc

/// Takes as long as that (0 or more), for tasks whose length is what a test is about: a call that
/// runs while something happens to it. Not for waiting: an event has its own descriptor, or file.
///
/// A signal with a handler ends it early, as it does a wait for a real descriptor.
public func last(milliseconds: Int) {
  // There is nothing to become ready: only the bound ends it.
  _ = poll(nil, 0, Int32(milliseconds))
}
