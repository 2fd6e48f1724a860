package main

const sysPerfEventOpen = 298
