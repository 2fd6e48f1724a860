# Greets by name.
require "sinatra"

get "/hello/:name" do
  content_type :text
  "hello #{params[:name]}, from sinatra\n"
end
